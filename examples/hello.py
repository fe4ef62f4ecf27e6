# sjs run examples/hello.py -- Ada
import platform
import sys

name = sys.argv[1] if len(sys.argv) > 1 else "world"
print(f"hello, {name}: Python {platform.python_version()}")
