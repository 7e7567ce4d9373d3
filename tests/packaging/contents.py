"""What an installed tree must hold, from the repository itself: nothing here is a list of files that someone has to keep."""
import pathlib
import re
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def expected(prefix):
    """Paths below the prefix, without manual and completions."""
    yield "bin/bot-bottle"
    for text in sorted(text for room in ("core", "sidecar", "plugins") for text in (SOURCE / room).rglob("CMakeLists.txt")):
        for name, where in re.findall(r'bot_bottle_program\((\S+) "?\$\{BB_(BIN|LIBEXEC)_DIR\}', text.read_text()):
            yield ("bin/" if where == "BIN" else "libexec/bot-bottle/") + name
    for file in sorted(SOURCE.glob("plugins/*/plugin.toml")):
        plugin = "lib/bot-bottle/plugins/" + file.parent.name
        yield from (f"{plugin}/plugin.toml", f"{plugin}/{file.parent.name}.so")
        if (file.parent / "Dockerfile").exists():
            yield f"{plugin}/Dockerfile"
    for room, where in (("core/policy/rules/*.toml", "rules"), ("core/policy/injection/*.toml", "injection"), ("plugin-api/schemas/*.json", "schemas")):
        files = sorted(SOURCE.glob(room))
        assert files, room
        yield from (f"share/bot-bottle/{where}/{file.name}" for file in files)
    yield "share/bot-bottle/attack/known_gaps.txt"
    for file in sorted((SOURCE / "plugin-api/include").rglob("*.h*")):
        yield "include/" + file.relative_to(SOURCE / "plugin-api/include").as_posix()
    yield from ("lib/pkgconfig/bot-bottle-plugin-api.pc", "lib/cmake/BotBottlePluginApi/BotBottlePluginApiConfig.cmake",
                "lib/cmake/BotBottlePluginApi/BotBottlePluginApiConfigVersion.cmake", "share/bot-bottle/plugin-api/plugin.version")
    examples = [file for file in sorted((SOURCE / "plugin-api/examples").rglob("*")) if file.is_file()]
    assert examples
    yield from (f"share/doc/bot-bottle/{file.relative_to(SOURCE).as_posix()}" for file in examples)
    yield from ("share/doc/bot-bottle/" + name for name in ("README.md", "copyright", "bot-bottle.spdx.json"))
    for file in sorted((SOURCE / "docs").rglob("*")):
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts:
            yield f"share/doc/bot-bottle/docs/{file.relative_to(SOURCE / 'docs').as_posix()}"


def pages(program):
    """Names of the manual's pages: the program's and one for each verb that its help lists."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  ([a-z][a-z-]*)\s{2,}", text, re.M)
    assert len(verbs) > 20, text
    return ["bot-bottle", *("bot-bottle-" + verb for verb in verbs)]
