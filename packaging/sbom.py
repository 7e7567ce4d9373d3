#!/usr/bin/env python3
"""The bill of materials of an installed tree, SPDX 2.3 as JSON: what its programs and plugins really contain and load.

Three sources, none of them a list of ours: the files' own dynamic sections (and ldd, for what those libraries load), the headers that
the compiler read for them (ninja's record), and the archives of a static program. dpkg says which package each file is of, which
version it has, and, in its copyright file, under which licence. With SOURCE_DATE_EPOCH the same build gives the same document.
"""
import argparse
import collections
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import uuid

# Debian's short names (copyright-format 1.0) and spellings of them, as SPDX identifiers.
IDENTIFIERS = {
    "apache-2.0": "Apache-2.0", "apache-2.0-with-llvm": "Apache-2.0 WITH LLVM-exception", "artistic": "Artistic-1.0-Perl",
    "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-3-clause-intel": "BSD-3-Clause", "bsd-3-google": "BSD-3-Clause",
    "bsd-3-clause-google": "BSD-3-Clause", "bsl-1.0": "BSL-1.0", "cc0-1.0": "CC0-1.0", "cc0": "CC0-1.0", "curl": "curl", "expat": "MIT", "mit": "MIT",
    "expat with embedded exception": "MIT", "isc": "ISC", "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later",
    "gpl-3+": "GPL-3.0-or-later", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3+": "LGPL-3.0-or-later", "mpl-2.0": "MPL-2.0", "openldap-2.8": "OLDAP-2.8", "oldap-2.8": "OLDAP-2.8",
    "x11": "X11", "mit/x11": "X11", "zlib": "Zlib", "public-domain": "LicenseRef-public-domain"}

# Source packages whose copyright files are prose, or whose first licence is not the library's; read by a person.
READ_BY_HAND = {
    "glibc": "LGPL-2.1-or-later", "gcc-12": "GPL-3.0-or-later WITH GCC-exception-3.1", "gcc-13": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "gcc-14": "GPL-3.0-or-later WITH GCC-exception-3.1", "linux": "GPL-2.0-only WITH Linux-syscall-note", "openssl": "Apache-2.0", "zlib": "Zlib",
    "zstd": "BSD-3-Clause OR GPL-2.0-only", "krb5": "MIT", "cyrus-sasl2": "BSD-4-Clause-UC", "db5.3": "Sleepycat", "e2fsprogs": "BSD-3-Clause",
    "gmp": "LGPL-3.0-or-later OR GPL-2.0-or-later", "gnutls28": "LGPL-2.1-or-later", "heimdal": "BSD-3-Clause", "keyutils": "LGPL-2.0-or-later",
    "libidn2": "LGPL-3.0-or-later OR GPL-2.0-or-later", "libpsl": "MIT", "libssh2": "BSD-3-Clause", "libtasn1-6": "LGPL-2.1-or-later",
    "libunistring": "LGPL-3.0-or-later OR GPL-2.0-or-later", "nettle": "LGPL-3.0-or-later OR GPL-2.0-or-later", "openldap": "OLDAP-2.8",
    "p11-kit": "BSD-3-Clause", "rtmpdump": "LGPL-2.1-or-later", "libffi": "MIT", "yaml-cpp": "MIT", "hyperscan": "BSD-3-Clause", "ncurses": "X11",
    "icu": "Unicode-DFS-2016"}


def output_of(*argv, check=True):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=check, env={**os.environ, "LC_ALL": "C"}).stdout


def programs_of(prefix):
    """Every ELF file of ours below the prefix, sorted."""
    found = []
    for root in ("bin", "libexec/bot-bottle", "lib/bot-bottle"):
        for path in sorted((prefix / root).rglob("*")):
            if path.is_file() and not path.is_symlink():
                with open(path, "rb") as file:
                    if file.read(4) == b"\x7fELF" and (root != "bin" or path.name.startswith("bot-bottle")):
                        found.append(path)
    if not found:
        sys.exit(f"error: no program below {prefix}\nnext: install a built tree first (cmake --install)")
    return found


def needed_by(program):
    """What its dynamic section names; None for a static program."""
    dynamic = output_of("readelf", "-d", program)
    if "There is no dynamic section" in dynamic:
        return None
    return re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", dynamic)


def loaded_by(program):
    """Name → file of every shared library that a start of it maps, however deep."""
    found = re.findall(r"^\s*(\S+)(?: => (\S+))? \(0x", output_of("ldd", program), re.M)
    return {pathlib.Path(name).name: path or name for name, path in found if path or name.startswith("/")}


def headers_of(build, ninja):
    """Files outside the project that the compiler read for what is installed; the tests' own objects are left out."""
    found, counts = set(), False
    for line in output_of(ninja, "-C", build, "-t", "deps").splitlines():
        if line and not line[0].isspace():
            counts = not line.startswith(("tests/", "plugin-api/examples/", "CMakeFiles/bb_test_pch")) and "ninja:" not in line
        elif counts and line.strip().startswith("/usr/"):
            found.add(os.path.normpath(line.strip()))
    if not found:
        sys.exit(f"error: ninja has no record of what {build} was compiled from\nnext: build there with ninja, not by hand")
    return found


def archives_of(compiler):
    """What the compiler driver puts into a static program."""
    names = ("libc.a", "libstdc++.a", "libgcc.a", "libgcc_eh.a", "crt1.o")
    return [path for path in (output_of(compiler, f"-print-file-name={name}").strip() for name in names) if path.startswith("/")]


def owners_of(paths):
    """Path → binary package, as dpkg knows them. /lib and /usr/lib are one directory, and either name may be the known one."""
    ways = {}
    for path in paths:
        for one in {path, os.path.realpath(path)}:
            ways[one] = path
            ways[one[4:] if one.startswith("/usr/") else "/usr" + one] = path
    owners, names = {}, sorted(ways)
    for start in range(0, len(names), 500):
        for line in output_of("dpkg-query", "-S", *names[start:start + 500], check=False).splitlines():
            packages, _, path = line.partition(": ")
            if path in ways and not line.startswith("diversion "):
                owners[ways[path]] = packages.split(", ")[0]
    unknown = sorted(set(paths) - set(owners))
    if unknown:
        sys.exit("error: no package of this machine has " + ", ".join(unknown[:5]) + "\nnext: build with packaged libraries, or name theirs in packaging/sbom.py")
    return owners


def spdx_licence(text):
    """One `License:` of a copyright file as an SPDX expression, or None."""
    words = [IDENTIFIERS.get(part.strip().lower()) for part in re.split(r"\s+or\s+", text.strip().rstrip(","))]
    return None if not words or None in words else " OR ".join(words)


def licence_of(package, source):
    if source in READ_BY_HAND:
        return READ_BY_HAND[source]
    if source.startswith("boost"):
        return "BSL-1.0"
    try:
        text = pathlib.Path("/usr/share/doc", package.split(":")[0], "copyright").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "NOASSERTION"
    first = None
    for stanza in re.split(r"\n\s*\n", text):
        files, licence = re.search(r"^Files:\s*(.*(?:\n\s.*)*)", stanza, re.M), re.search(r"^License:\s*(.+)", stanza, re.M)
        if files and licence:
            first = first or licence[1]
            if files[1].split() == ["*"]:
                return spdx_licence(licence[1]) or "NOASSERTION"
    return (spdx_licence(first) if first else None) or "NOASSERTION"


class Document:
    def __init__(self):
        self.packages, self.files, self.relations = {}, [], set()

    def package(self, owner):
        """The SPDX id of a Debian package, which is added when it is new."""
        fields = output_of("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}", owner).split("\t")
        name, version, architecture, source, source_version = fields
        identity = "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)
        if identity not in self.packages:
            licence = licence_of(owner, source)
            distribution = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text(), re.M))
            self.packages[identity] = {
                "name": name, "SPDXID": identity, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                "licenseConcluded": licence, "licenseDeclared": licence, "copyrightText": "NOASSERTION",
                "supplier": "Organization: " + distribution.get("ID", "unknown"),
                "sourceInfo": f"built from the source package {source} {source_version}",
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": f"pkg:deb/{distribution.get('ID', 'debian')}/{name.replace('+', '%2B')}@{version.replace('+', '%2B').replace(':', '%3A')}"
                                                      f"?arch={architecture}&distro={distribution.get('ID', '')}-{distribution.get('VERSION_ID', '')}"}],
            }
        return identity, source

    def note(self, identity, text):
        package = self.packages[identity]
        package["comment"] = "; ".join(sorted({*filter(None, package.get("comment", "").split("; ")), text}))

    def relate(self, one, kind, other):
        self.relations.add((one, kind, other))


def describe(arguments):
    document, prefix, whole = Document(), arguments.prefix, "SPDXRef-Package-bot-bottle"
    shared, sources_linked = {}, set()
    programs = [(path, needed_by(path)) for path in programs_of(prefix)]
    for path, needed in programs:
        if needed is not None:
            shared.update(loaded_by(path))
            missing = [name for name in needed if name not in shared]
            if missing:
                sys.exit(f"error: {path} needs {', '.join(missing)}, which this machine does not have")
    static = archives_of(arguments.compiler) if any(needed is None for _, needed in programs) else []
    headers = headers_of(arguments.build, arguments.ninja)
    owners = owners_of({*shared.values(), *static, *headers})

    direct = set()
    for path, needed in programs:
        content = path.read_bytes()
        relative = path.relative_to(prefix).as_posix()
        identity = "SPDXRef-File-" + re.sub(r"[^A-Za-z0-9.-]", "-", relative)
        document.files.append({
            "fileName": "./" + relative, "SPDXID": identity, "fileTypes": ["BINARY"], "licenseConcluded": "Apache-2.0",
            "licenseInfoInFiles": ["NOASSERTION"], "copyrightText": "NOASSERTION",
            "checksums": [{"algorithm": kind.upper(), "checksumValue": hashlib.new(kind, content).hexdigest()} for kind in ("sha1", "sha256")]})
        document.relate(whole, "CONTAINS", identity)
        for name in needed or ():
            library, source = document.package(owners[shared[name]])
            document.note(library, name)
            document.relate(identity, "DYNAMIC_LINK", library)
            direct.add(name)
            sources_linked.add(source)
        for archive in static if needed is None else ():
            library, _ = document.package(owners[archive])
            document.note(library, pathlib.Path(archive).name)
            document.relate(identity, "STATIC_LINK", library)
    for name in sorted(set(shared) - direct):
        library, _ = document.package(owners[shared[name]])
        document.note(library, name + " (loaded by another library)")
        document.relate(whole, "DEPENDS_ON", library)

    read = collections.defaultdict(set)
    for path in headers:
        read[owners[path]].add(path)
    for owner, paths in sorted(read.items()):
        library, source = document.package(owner)
        document.note(library, f"{len(paths)} of its headers were compiled in")
        # A C header beside a linked library only declares; templates and inline functions become part of the program.
        inline = source not in sources_linked or any(re.search(r"\.(hpp|ipp|inl)$|/c\+\+/", path) for path in paths)
        if inline and source != "linux":
            document.relate(whole, "STATIC_LINK", library)
        else:
            document.relate(library, "BUILD_DEPENDENCY_OF", whole)

    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    body = {
        "packages": [{
            "name": "bot-bottle", "SPDXID": whole, "versionInfo": arguments.version, "downloadLocation": "NOASSERTION", "filesAnalyzed": True,
            "packageVerificationCode": {"packageVerificationCodeValue": hashlib.sha1(
                "".join(sorted(file["checksums"][0]["checksumValue"] for file in document.files)).encode()).hexdigest()},
            "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "licenseInfoFromFiles": ["NOASSERTION"], "copyrightText": "NOASSERTION",
            "supplier": "Organization: bot-bottle", "primaryPackagePurpose": "APPLICATION",
        }, *(document.packages[name] for name in sorted(document.packages))],
        "files": document.files,
        "relationships": [{"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
                          for one, kind, other in [("SPDXRef-DOCUMENT", "DESCRIBES", whole), *sorted(document.relations)]]}
    if any("LicenseRef-public-domain" in package["licenseConcluded"] for package in body["packages"]):
        body["hasExtractedLicensingInfos"] = [{"licenseId": "LicenseRef-public-domain", "extractedText": "Dedicated to the public domain.", "name": "public domain"}]
    name = f"bot-bottle-{arguments.version}"
    identity = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
            "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{identity}",
            "creationInfo": {"created": datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                             "creators": ["Tool: bot-bottle-packaging/sbom.py"]}, **body}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("build", "prefix", "output"):
        parser.add_argument("--" + name, type=pathlib.Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--ninja", default="ninja")
    arguments = parser.parse_args()
    document = describe(arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    arguments.output.chmod(0o644)


if __name__ == "__main__":
    main()
