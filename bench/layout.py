#!/usr/bin/env python3
"""layout.py ROOTFS.tar.gz FOLDER: an OCI layout of one layer, made without other programs."""

import gzip
import hashlib
import json
import os
import shutil
import sys

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(folder, kind, data):
    name = digest(data)
    with open(os.path.join(folder, "blobs/sha256", name[7:]), "wb") as out:
        out.write(data)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": name, "size": len(data)}


def main(archive, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "blobs/sha256"))
    with open(archive, "rb") as source:
        packed = source.read()
    machine = os.uname().machine
    config = {
        "architecture": MACHINES.get(machine, machine),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(gzip.decompress(packed))]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(folder, "config.v1+json", json.dumps(config).encode()),
        "layers": [blob(folder, "layer.v1.tar+gzip", packed)],
    }
    found = blob(folder, "manifest.v1+json", json.dumps(manifest).encode())
    found["annotations"] = {"io.containerd.image.name": "docker.io/library/debian:latest"}
    for name, text in (
        ("index.json", {"schemaVersion": 2, "manifests": [found]}),
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
    ):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            json.dump(text, out)


if __name__ == "__main__":
    main(*sys.argv[1:3])
