# compile-python.py ROOT FOLDER: compiles each module of FOLDER, as it will be named without ROOT before it. The same source
# gives the same bytes, which compileall does not promise: marshal's version 2 has no references, whose number depends on
# what else the process holds. A hash of the source says what it was compiled from, and nobody looks whether that changed.
import importlib.util
import marshal
import os
import sys

root, folder = sys.argv[1:]
for where, folders, files in os.walk(folder):
    for name in files:
        if not name.endswith(".py"):
            continue
        path = os.path.join(where, name)
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path.removeprefix(root), "exec", dont_inherit=True)
        target = importlib.util.cache_from_source(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little"))
            file.write(importlib.util.source_hash(source) + marshal.dumps(code, 2))
