# Calls one function of a Python program, starts the program, or runs code that it is given: what stands ahead of stdin says
# which. Root-owned in the image; the standard library only. Nothing here is a boundary: the program can do all that this
# can, and so answer whatever it likes. The counterpart of call.cjs, which has the same requests and answers.
#
#   python3 … /.sjs/call.py <program> [preload]
#   python3 … /.sjs/call.py                         runs the code that it is given, and nothing else
import atexit
import builtins
import importlib.util
import io
import json
import os
import sys
import traceback
import types

OWN = __file__
START = "/.sjs/start.py"
CODE = "/tmp/code.py"
PACKAGES = "/.sjs/packages.json"
# Pipes take so much in one piece, whoever else writes to them (PIPE_BUF).
PIECE_BYTES = 4096
MOST_TEXT = 16 * 1024
DEEPEST = 100
LARGEST = 2**53 - 1


def read_exactly(length):
    chunks = []
    while length > 0:
        chunk = os.read(0, min(length, 1 << 20))
        if not chunk:
            # Nobody wants anything: a member of a pool that is not needed any more.
            sys.exit(0)
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def read_all():
    chunks = iter(lambda: os.read(0, 1 << 20), b"")
    return b"".join(chunks)


class Pieces:
    """Writes between the program's own output: in pieces that begin with the nonce."""

    def __init__(self, nonce, write=os.write):
        self.marker = b"\0sjs" + nonce.encode()
        self.write = write

    def send(self, fd, kind, payload=b""):
        room = PIECE_BYTES - len(self.marker) - 5
        at = 0
        while True:
            part = payload[at : at + room]
            at += len(part)
            letter = b"p" if at < len(payload) else kind
            piece = self.marker + letter + b"%04x" % len(part) + part
            while piece:
                piece = piece[self.write(fd, piece) :]
            if at >= len(payload):
                return


class ResultError(Exception):
    """Says where in a result something is that JSON has no form for."""


INSTEAD = (
    ((set, frozenset), "return sorted(it) or list(it)"),
    ((bytes, bytearray, memoryview), "return it as base64"),
    (complex, "return its parts"),
    (types.GeneratorType, "return a list of what it yields"),
    (BaseException, "raise it, or return its message"),
)


def to_json(value):
    """A result as JSON. Nothing is lost on the way: what JSON has no form for is an error."""
    above = set()

    def refuse(path, what, instead):
        where = f"its {path[:1000]}" if path else "it"
        raise ResultError(f"the result cannot be given as JSON: {where} is {what}; {instead}")

    def check(found, path):
        if found is None or isinstance(found, (bool, str)):
            return
        if isinstance(found, int):
            # Whoever reads it has doubles: another number would come out.
            if abs(found) > LARGEST:
                refuse(path, "a whole number beyond 2**53", "return it as a string")
            return
        if isinstance(found, float):
            if found != found or found in (float("inf"), float("-inf")):
                refuse(path, str(found), "return None or a string")
            return
        if not isinstance(found, (dict, list, tuple)):
            kind = type(found).__name__
            what = f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
            refuse(path, what, next((text for types_, text in INSTEAD if isinstance(found, types_)), "return a dict, a list or a string"))
        if id(found) in above:
            refuse(path, "a cycle", "it contains itself")
        if len(above) >= DEEPEST:
            refuse(path, f"more than {DEEPEST} deep", "return something flatter")
        above.add(id(found))
        for key, one in found.items() if isinstance(found, dict) else enumerate(found):
            inner = f"{path}.{key}" if path else str(key)
            if isinstance(found, dict) and not isinstance(key, str):
                refuse(inner, f"under a key that is {type(key).__name__}", "use strings as keys")
            check(one, inner)
        above.discard(id(found))

    check(value, "")
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def describe_error(error):
    """Anything can be raised, and reading it can raise too: then less is told."""
    try:
        message = str(error)[:MOST_TEXT]
    except BaseException:
        message = ""
    stack = ""
    if not isinstance(error, ResultError):
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == OWN:
            trace = trace.tb_next
        try:
            stack = "".join(traceback.format_exception(type(error), error, trace))[-MOST_TEXT:].rstrip("\n")
        except BaseException:
            pass
    described = {"name": type(error).__name__[:200], "message": message, "stack": stack}
    return json.dumps(described).encode()


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


def mark_order(pieces):
    """Whenever the program goes on in the other stream both get a mark: see mark-order.ts."""
    last = 1

    class Marked(io.FileIO):
        def write(self, data):
            nonlocal last
            if last != self.fileno():
                last = self.fileno()
                pieces.send(1, b"o")
                pieces.send(2, b"o")
            return super().write(data)

    for fd, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        raw = Marked(fd, "wb", closefd=False)
        raw.name = f"<{name}>"
        new = io.TextIOWrapper(raw, old.encoding, old.errors, newline="\n", write_through=True)
        new.mode = "w"
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def run_main(path, args=()):
    """Starts a program as if nothing had been here before."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.argv[:] = [OWN, path, *args]
    with open(START, "rb") as file:
        source = file.read()
    # Under this file's name: tracebacks leave its frames out.
    exec(compile(source, OWN, "exec"), {"__name__": "start", "__file__": OWN, "__builtins__": builtins})


def run_code(pieces, code, data=None):
    """It finds `data`; what it leaves in its `result` is given back when it ends, however it ends."""
    own = os.getpid()

    def give():
        # A process that it forked ends, too.
        result = sys.modules["__main__"].__dict__.get("result") if os.getpid() == own else None
        if result is None:
            return
        flush()
        try:
            pieces.send(1, b"v", to_json(result))
        except BaseException as error:
            pieces.send(1, b"x", describe_error(error))

    atexit.register(give)
    mark_order(pieces)
    builtins.data = data
    with open(CODE, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(code)
    run_main(CODE)


def load(path):
    name = os.path.splitext(os.path.basename(path))[0]
    sys.argv[:] = [path]
    sys.path.insert(0, os.path.dirname(path))
    if os.path.exists(PACKAGES):
        sys.path.append("/app/site-packages")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class ExportError(Exception):
    """There is no such function."""


def find_function(module, path, name):
    found = getattr(module, name, None)
    if callable(found):
        return found
    own = [key for key, one in vars(module).items() if callable(one) and getattr(one, "__module__", None) == module.__name__]
    exported = f"its functions are {', '.join(own[:20])}" if own else "it has no function"
    what = "has something else than a function as" if hasattr(module, name) else "has no"
    raise ExportError(f"{path} {what} {name}; {exported}")


def answer_call(pieces, loading, path, name, args):
    def end(kind, payload, code):
        flush()
        try:
            pieces.send(2, b"e")
        except OSError:
            # The program closed stderr, which is its right: its end says the same.
            pass
        pieces.send(1, kind, payload)
        os._exit(code)

    try:
        value = find_function(loading(), path, name)(*args)
        if hasattr(value, "__await__"):
            import asyncio

            async def settle():
                return await value

            value = asyncio.run(settle())
        text = to_json(value)
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, (ResultError, ExportError)):
            error.__traceback__ = None
        end(b"x", describe_error(error), 1)
    else:
        end(b"v", text, 0)


def begin():
    words = sys.argv[1:]
    path = words[0] if words else None
    preloaded = None
    if len(words) > 1 and words[1] == "preload":
        try:
            module = load(path)
            preloaded = lambda: module
        except BaseException as error:
            # What it fails with is the answer to whoever calls.
            failure = error

            def preloaded():
                raise failure

    head = json.loads(read_exactly(int.from_bytes(read_exactly(4), "big")))
    kind = head["kind"]
    if path is None:
        if kind == "code":
            document = json.loads(read_all())
            run_code(Pieces(head["nonce"]), document["code"], document.get("data"))
    elif kind == "run":
        run_main(path, head["args"])
    elif kind == "call":
        args = json.loads(read_exactly(head["bytes"]))
        answer_call(Pieces(head["nonce"]), preloaded or (lambda: load(path)), path, head["export"], args)


begin()
