"""What is wrong with a bill of materials: against SPDX 2.3's required members, and against the tree that it is of."""
import hashlib
import pathlib
import re
import subprocess

REQUIRED = {"document": {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "files", "relationships"},
            "creationInfo": {"created", "creators"},
            "package": {"name", "SPDXID", "downloadLocation", "versionInfo", "licenseConcluded", "licenseDeclared", "copyrightText", "supplier"},
            "file": {"SPDXID", "fileName", "checksums", "licenseConcluded", "copyrightText"},
            "relationship": {"spdxElementId", "relatedSpdxElement", "relationshipType"},
            "externalRef": {"referenceCategory", "referenceType", "referenceLocator"}}
RELATIONSHIPS = {"DESCRIBES", "CONTAINS", "DEPENDS_ON", "DYNAMIC_LINK", "STATIC_LINK", "BUILD_DEPENDENCY_OF"}
LICENCE = re.compile(r"[A-Za-z0-9.-]+( (WITH|OR|AND) [A-Za-z0-9.-]+)*")


def elf_files(prefix):
    for path in sorted(pathlib.Path(prefix).rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.+?)\]", subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout)


def missing(kind, members):
    return [f"{kind} {members.get('SPDXID', members)}: no {name}" for name in sorted(REQUIRED[kind] - set(members))]


def faults_of_form(document):
    yield from missing("document", document)
    yield from missing("creationInfo", document.get("creationInfo", {}))
    if document.get("spdxVersion") != "SPDX-2.3" or document.get("dataLicense") != "CC0-1.0" or document.get("SPDXID") != "SPDXRef-DOCUMENT":
        yield "the document's head is not SPDX 2.3's"
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.get("creationInfo", {}).get("created", "")):
        yield "created is no time in UTC"
    if not re.fullmatch(r"https://[^#\s]+", document.get("documentNamespace", "")):
        yield "documentNamespace is no URI"
    identities = ["SPDXRef-DOCUMENT"]
    for kind in ("package", "file"):
        for one in document.get(kind + "s", []):
            yield from missing(kind, one)
            identities.append(one.get("SPDXID", ""))
            if not re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", identities[-1]):
                yield f"not an SPDX id: {identities[-1]}"
            if not LICENCE.fullmatch(one.get("licenseConcluded", "")) or one.get("licenseConcluded") in ("NOASSERTION", "NONE"):
                yield f"{one.get('name', one.get('fileName'))}: its licence is not known; read it and name it in packaging/sbom.py"
    if len(set(identities)) != len(identities):
        yield "an SPDX id is used twice"
    for package in document.get("packages", []):
        for reference in package.get("externalRefs", []):
            yield from missing("externalRef", reference)
        if package.get("filesAnalyzed", True) and not package.get("packageVerificationCode", {}).get("packageVerificationCodeValue"):
            yield f"{package.get('name')}: its files are said to be analyzed, and there is no verification code"
    for one in document.get("relationships", []):
        yield from missing("relationship", one)
        if one.get("relationshipType") not in RELATIONSHIPS:
            yield f"no such relationship: {one.get('relationshipType')}"
        for end in ("spdxElementId", "relatedSpdxElement"):
            if one.get(end) not in identities:
                yield f"a relationship names {one.get(end)}, which is not in the document"


def faults_against(document, prefix):
    """Each program of ours is in it with its true checksum, and each library that it names stands behind a relation of its own."""
    files = {file["fileName"]: file for file in document["files"]}
    packages = {package["SPDXID"]: package for package in document["packages"]}
    seen = set()
    for path in elf_files(prefix):
        name = "./" + path.relative_to(prefix).as_posix()
        if name not in files:
            yield f"{name} is not in it"
            continue
        seen.add(name)
        for checksum in files[name]["checksums"]:
            if hashlib.new(checksum["algorithm"].lower(), path.read_bytes()).hexdigest() != checksum["checksumValue"]:
                yield f"{name} has another {checksum['algorithm']}"
        related = [one for one in document["relationships"] if one["spdxElementId"] == files[name]["SPDXID"]]
        linked = {soname for one in related if one["relationshipType"] == "DYNAMIC_LINK"
                  for soname in packages.get(one["relatedSpdxElement"], {}).get("comment", "").split("; ")}
        libraries = needed(path)
        for library in libraries:
            if library not in linked:
                yield f"{name} loads {library}, which is not in it"
        if not libraries and not any(one["relationshipType"] == "STATIC_LINK" for one in related):
            yield f"{name} loads no library, and nothing is said to be linked into it"
    yield from (f"{name} is in it and not in the tree" for name in sorted(set(files) - seen))
