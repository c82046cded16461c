"""Hands a job's frames out to machines: the only folder that imports ray.

render_job       a render from the spec to the report: inputs, network, plan, lease, tasks, film
render_events    what a job does with what its driver tells it
driver           the loop that drives the tasks of one job; no ray
workers          what the driver needs of its workers; no ray
pool             workers as Ray actors that join and are lost
pool_work        pieces of work for a pool that is not rendering
actors           what runs on a worker
driver_tasks     probing and stitching as named Ray tasks
flow_ahead       optical flow that is computed ahead of the renderers
sizing           how many workers a job has, and GPU, threads and bytes of each
queue            which submitted job begins when, and drivers that died begun again
queue_table      the jobs that the queue knows; no ray
queued           what clients say of jobs that wait; no ray
ray_jobs         what Ray keeps of submitted jobs
priority         priorities that change while a job runs
broker           one cluster shared between jobs
node_types       nodes that the autoscaler could start
session          a Ray on this machine, or a connection to a cluster
joining          a connection to a cluster, given up where its head does not answer
head_watch       the end of a process whose cluster has lost its head
token            the token that Ray asks for
service          submit, resume, retry, and the driver's side of a submitted job
handles          jobs that exist: found, looked at, waited for, cancelled, their logs
listing          the rows of `farm list`
ray_errors       what each error of Ray means for a job
reasons          why a job ended, in one line
jobs_api         Ray's Jobs API
dashboard_http   one request to a dashboard: the only place that sends the token over HTTP
staging          local inputs copied to the job's storage
measure          what a render will cost
preview          a sheet of small frames
train            a training over several processes
train_workers    the workers of a training
metrics          what Prometheus is told
monitoring       where metrics are shown
phase_bars       how far a film is, in Ray's dashboard
worker_logs      the last lines of a worker that failed
"""

import os

# Ray reads this when it is first imported, so it stands before every import of ray that the farm does.
os.environ.setdefault("RAY_AUTH_MODE", "token")
