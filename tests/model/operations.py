"""The operations, done for real. Each is called only when the model says that it can be done.

The system's clock is never set. What a clock set back does to files, an mtime before that of the
row, comes from `touch` with times long ago.
"""

import os
import shutil
import threading
import time

import harness
import pictures


class Operations:
    """disk(path): the real path of a name of the model."""

    def __init__(self, disk, targets):
        self.disk = disk
        self.targets = targets

    def do(self, op):
        arguments = {key: value for key, value in op.items() if key != "op"}
        getattr(self, "do_" + op["op"])(**arguments)

    def do_write(self, path, content, size):
        data = pictures.data(content)[:size]
        with open(self.disk(path), "wb", buffering=0) as file:
            file.write(data[:300])
            file.write(data[300:])

    def do_append(self, path, count):
        with open(self.disk(path), "ab") as file:
            file.write(b"-" * count)

    def do_truncate(self, path, size):
        # truncate(2) on a path gives no event that is watched for.
        with open(self.disk(path), "r+b") as file:
            file.truncate(size)

    def do_hide(self, path, content, size):
        path = self.disk(path)
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(pictures.data(content))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert os.stat(path).st_size == size, f"{path} has changed its size"

    def do_touch(self, path, seconds):
        os.utime(self.disk(path), None if seconds is None else (seconds, seconds + 0.25))

    def do_chmod(self, path):
        path = self.disk(path)
        os.chmod(path, (os.stat(path).st_mode & 0o777) ^ 0o004)

    def do_unlink(self, path):
        os.unlink(self.disk(path))

    def do_link(self, path, to):
        os.link(self.disk(path), self.disk(to))

    def do_symlink(self, path, target):
        where = f"{self.targets}/{target}" + (".jpg" if isinstance(target, int) else "")
        os.symlink(where, self.disk(path))

    def do_rename(self, path, to):
        os.rename(self.disk(path), self.disk(to))

    def do_exchange(self, path, to):
        harness.exchange(self.disk(path), self.disk(to))

    def do_copy(self, path, to, preserve):
        (shutil.copy2 if preserve else shutil.copyfile)(self.disk(path), self.disk(to))

    def do_copytree(self, path, to):
        shutil.copytree(self.disk(path), self.disk(to), symlinks=True)

    def do_mkdir(self, path):
        os.mkdir(self.disk(path))

    def do_tree(self, path, directories, files):
        os.mkdir(self.disk(path))
        for inner in directories:
            os.mkdir(self.disk(f"{path}/{inner}"))
        for inner, content, size in files:
            self.do_write(f"{path}/{inner}", content, size)

    def do_rmtree(self, path):
        shutil.rmtree(self.disk(path))

    def do_stream(self, path, files, moves):
        fd = os.open(self.disk(path), os.O_RDONLY | os.O_DIRECTORY)
        errors = []

        def work():
            try:
                for name, content, size in files:
                    data = pictures.data(content)[:size]
                    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
                    os.write(file, data[:100])
                    time.sleep(0.0005)  # so that the moves come between
                    os.write(file, data[100:])
                    os.close(file)
            except OSError as error:
                errors.append(error)

        writer = threading.Thread(target=work)
        writer.start()
        for old, new in moves:
            self.do_rename(old, new)
            time.sleep(0.0007)
        writer.join()
        os.close(fd)
        if errors:
            raise errors[0]

    def do_parallel(self, lists):
        errors = []

        def work(ops):
            try:
                for op in ops:
                    self.do(op)
            except OSError as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(ops,)) for ops in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
