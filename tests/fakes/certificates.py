"""Throw-away certificates for fake peers, made with the openssl program. Used by the integration tests."""
import os
import subprocess


def _openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], check=True, cwd=directory, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def make_ca(directory, name="ca"):
    """NAME.key and NAME.pem; returns the path of NAME.pem."""
    _openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    _openssl(directory, "req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN=fake {name}", "-days", "2",
             "-out", f"{name}.pem", "-addext", "keyUsage=critical,keyCertSign")
    return os.path.join(directory, f"{name}.pem")


def make_leaf(directory, names, name="leaf", ca="ca"):
    """A leaf for DNS `names`; returns (certificate, key)."""
    _openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    _openssl(directory, "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={names[0]}", "-out", f"{name}.csr")
    with open(os.path.join(directory, f"{name}.ext"), "w") as file:
        file.write("subjectAltName=" + ",".join(f"DNS:{entry}" for entry in names) + "\n")
    _openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
             "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return os.path.join(directory, f"{name}.pem"), os.path.join(directory, f"{name}.key")
