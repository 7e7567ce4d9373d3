# The jobs of CI: the one list, read by ./run ci, .ci/run and tests/gates/ci_jobs_test.py. docs/ci.md tells of each.
#
#   ci_job NAME WHEN NEEDS COMMAND DESCRIPTION
#
# WHEN     landing: .ci/run runs it on every change. part: a part of the landing job `test`, for one by one; together the parts are the
#          whole of it. hand: nightly, before a release, or by whoever touches its subject.
# NEEDS    a path of the repository without which the job is refused by name, or -
# COMMAND  words for exec, no shell
ci_job format landing - './run lint-format' 'clang-format, without changing anything'
ci_job lint landing - './run lint' 'clang-tidy on the rooms that hostile bytes reach'
ci_job sanitizer-address landing - 'env BB_PRESET=fuzz ./run unit' 'unit tests and corpora under AddressSanitizer and UndefinedBehaviorSanitizer (clang)'
ci_job fuzz landing - './run fuzz-within 90' 'every libFuzzer target, a minute and a half of each core for all together'
ci_job soak landing - 'env BB_PRESET=dev ./run soak 600' 'one sidecar, ten minutes of mixed traffic: memory and descriptors stay flat'
ci_job test landing - './run test' 'everything that ctest knows: all the parts below at once'
ci_job deb landing - 'env BB_PRESET=dev ./run deb-test' 'the Debian package: contents, installed on a machine of its own, doctor, demo, purge'

ci_job unit part - './run unit' 'unit tests of every room, and the fuzzers'"'"' corpora'
ci_job gates part - './run test -R ^gates/' 'what must hold of the repository itself'
ci_job abi part - './run test -R ^(abi|exports_one_symbol)' 'the promise to plugins'
ci_job packaging part - './run test -R ^packaging/' 'what is installed, and its bill of materials'
ci_job integration part - './run test -L ^integration$' 'the real sidecar and the real keeper against real peers'
ci_job acceptance part - './run test -L ^acceptance$' 'the program as a person uses it'
ci_job escape part - './run test -R escape|^acceptance_demo' 'a hostile agent against every wall of this machine'
ci_job backend-local part plugins/backend-local './run test -R local|^escape/' 'plugin backend-local: unit, conformance, life of a bottle, escape suite'
ci_job backend-docker part plugins/backend-docker './run test -R docker' 'plugin backend-docker on an engine of its own: runc and gVisor, both wires'
ci_job backend-smolvm part plugins/backend-smolvm './run test -R smolvm' 'plugin backend-smolvm on its fake, and for real where /dev/kvm and smolvm are'
ci_job backend-apple part plugins/backend-apple './run test -R apple' 'plugin backend-apple on its fake'
ci_job provider-command part plugins/provider-command './run test -R command' 'plugin provider-command: any argv as the agent'
ci_job provider-claude part plugins/provider-claude './run test -R [Cc]laude' 'plugin provider-claude with the real Claude Code'
ci_job provider-codex part plugins/provider-codex './run test -R [Cc]odex' 'plugin provider-codex with the real Codex'

ci_job sanitizer-thread hand - './run threads' 'the rooms that have threads, under ThreadSanitizer'
ci_job macos hand tests/gates/macos_syntax.sh 'sh tests/gates/macos_syntax.sh' 'what macOS compiles, checked against its headers in syntax alone'
ci_job reproducible hand - './run reproducible' 'two release builds in two directories, the same package to the byte'
ci_job stranger hand - './run stranger' 'a stranger on a fresh Debian: clone, ./run demo, first bottle'
ci_job soak-long hand - './run soak 7200' 'the soak for two hours, on the release build'
