"""A job's frames, walked from the source to the film. No ray: a worker and a driver call this.

inputs              the files of a spec, opened, checked and hashed
prepare             a spec and its film become a job
network_for_film    a network trained for one film
chunk               the way of a frame: decode, flow, stylise, commit
commits             frames of a task, committed while the next ones are painted
source_frames       frames of the source and the flow between them
committed           committed frames, read back
temporal            what a frame starts from and is tied to
light               flashes and fades: whether a neighbour is lit as a frame is
moving_paint        the same where the film moves: strokes kept, the film's change followed
keyed               frames painted from painted keys alone; pure
regions             where in a frame each region is
read_ahead          three steps at the same time
stitch              committed frames become the film
film_in_progress    segments that are encoded while others are rendered
correct_frames      frames that a person corrected: accepted, carried into their neighbours, put back
carried_corrections a correction along the film's motion
given_pictures      the pictures that a person gives for frames, checked
verify_job          whether a job directory is still what was written
steadiness          warp error
seams               seams between chunks, from warp errors; pure
detail              how much is painted, in what moves and in what rests
detail_figures      such figures by frame and area; pure
job_detail          the same of a job's frames: without stills, or with a few
film_meter          steadiness and detail of a film of any tool beside its source
film_figures        such figures, and what is typical of them; pure
cost_sample         frames that are painted to learn what a frame costs
"""
