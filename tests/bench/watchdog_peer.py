"""python3-watchdog watching a directory as its manual shows it.

Prints "ready" once every directory is watched; with --print then the path of each file that was
closed after writing, a line each.
"""

import sys
import threading

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer


class Printer(FileSystemEventHandler):
    def on_closed(self, event):
        print(event.src_path, flush=True)


observer = Observer()
observer.schedule(Printer() if "--print" in sys.argv else FileSystemEventHandler(), sys.argv[1],
                  recursive=True)
observer.start()
print("ready", flush=True)
threading.Event().wait()
