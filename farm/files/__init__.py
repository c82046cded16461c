"""Bytes at a path or URL: whole or not at all.

storage         files of a job below one path or URL, each written whole or not at all
atomic          one file on a disk, put in its place once it is whole
output          a film's place, a path or the URL of an object
remote          inputs at a URL: read by range, or copied to this machine
numbered        a folder of pictures that are frames of a film, by their numbers
names           names that are made of other names, and fit
background      writes behind and reads ahead, in other threads
checked_json    JSON that carries its own checksum, and JSON that may be torn
findings        what was found out about files, kept in the user's cache
png             PNG of frames, and whether one is still what was written
"""

from farm.files.atomic import write_atomically
from farm.files.remote import local_path
from farm.files.storage import Storage

__all__ = ["Storage", "local_path", "write_atomically"]
