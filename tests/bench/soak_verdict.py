"""Is it a leak? Judges the samples of a soak; held by tests/gates/soak_verdict_test.py."""
import statistics

# What RSS may climb by over the judged part of a run, however long, at the pace of its calmest third: a leak climbs in each
# third, while a moment with more connections at once than ever before leaves a step (up to 280 KiB were seen in 35 minutes
# beside builds, with 20 KiB in the ten minutes before them).
RSS_BOUND_KIB = 512
STEPS_BOUND_KIB = 1024  # all steps together
WARM_UP = 0.25  # of the run; its first quarter is not judged


def theil_sen(points):
    """The median of the slopes between all pairs: one large body or a burst does not move it. At most 400 points."""
    points = points[::max(1, len(points) // 400)]
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1:] if x2 > x1]
    return statistics.median(slopes) if slopes else 0.0


def judge(samples):
    """`samples`: (seconds, rss_kib, fds, threads) under traffic. Returns [(what, passed, text)]."""
    start, end = samples[0][0], samples[-1][0]
    judged = [s for s in samples if s[0] >= start + WARM_UP * (end - start)]
    window = judged[-1][0] - judged[0][0]
    third = max(2, len(judged) // 3)
    parts = [judged[:third], judged[third:-third], judged[-third:]]
    growth = min(theil_sen([(s[0], s[1]) for s in part]) for part in parts if part) * window
    quarter = (end - start) / 4
    second = statistics.median(s[1] for s in samples if start + quarter <= s[0] < start + 2 * quarter)
    last = statistics.median(s[1] for s in samples if s[0] >= start + 3 * quarter)
    early_fds = max(s[2] for s in judged[:len(judged) // 2])
    late_fds = statistics.median(s[2] for s in judged[len(judged) // 2:])
    return [
        ("RSS does not climb", growth <= RSS_BOUND_KIB,
         f"{growth:+.0f} KiB over {window:.0f} s by the median slope of the calmest third (bound {RSS_BOUND_KIB})"),
        ("RSS ends as it began", last - second <= STEPS_BOUND_KIB,
         f"median {second:.0f} KiB in the second quarter, {last:.0f} in the last (bound +{STEPS_BOUND_KIB})"),
        ("descriptors under traffic do not climb", late_fds <= early_fds,
         f"median {late_fds:.0f} in the second half, at most {early_fds} in the first"),
        ("threads stay", samples[-1][3] <= max(s[3] for s in judged[:max(1, len(judged) // 4)]), f"{samples[-1][3]} at the end"),
    ]
