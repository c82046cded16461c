"""What is kept: the job directory, which is the whole state of a render.

directory      the files of a job, read and committed
record         what a job is, and what a committed frame is
lease          one driver at a time
state          what the job is doing, for people
standing       what the job is, from its directory and the cluster's word; pure
summary        how far it is, in one small file
log            what its driver wrote
history        what happened beside the frames, for people
status         how far a job is
request        what was submitted to a cluster
registry       the jobs that were submitted
software       what a node paints with, compared with what a job was begun with
credentials    the refusal to keep secrets
forecast       the forecast that was made
corrections    frames that a person corrected; pure
versions       every picture that such a frame has had
keep           what stays once the film is there
measures       the warp errors that were measured
"""

from farm.job.directory import JobDirectory
from farm.job.record import FrameRecord, JobRecord

__all__ = ["FrameRecord", "JobDirectory", "JobRecord"]
