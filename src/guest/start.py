# Started by sjs ahead of a Python program. Isolated mode leaves the program's own folder out of the places where modules
# are looked for: here it gets the place that it has without, and the sealed packages the last. What a program finds of this
# file is nothing but a frame that tracebacks leave out.
import os
import sys


def start():
    own, path = __file__, sys.argv[1]
    del sys.argv[0]
    sys.path.insert(0, path.rpartition("/")[0] or "/")
    if os.path.exists("/.sjs/packages.json") and "/app/site-packages" not in sys.path:
        sys.path.append("/app/site-packages")
    hook = sys.excepthook

    def without_own_frames(kind, error, trace):
        while trace is not None and trace.tb_frame.f_code.co_filename == own:
            trace = trace.tb_next
        hook(kind, error.with_traceback(trace), trace)

    sys.excepthook = without_own_frames
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.exit(f"{sys.executable}: can't open file '{path}': {error.strerror}")
    names = sys.modules["__main__"].__dict__
    builtins = names["__builtins__"]
    names.clear()
    names.update(__name__="__main__", __file__=path, __builtins__=builtins)
    names.update(dict.fromkeys(("__doc__", "__package__", "__loader__", "__spec__", "__cached__")))
    exec(compile(source, path, "exec", dont_inherit=True), names)


start()
