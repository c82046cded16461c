"""Where in a frame each region of a spec is: masks that are read, held still, or carried along by optical flow.

files    mask pictures and videos as the user gives them, and what is refused
carry    a mask taken from frame to frame
fill     parts that no flow shows, decided by colour
masks    the masks of a job, made where they are needed and kept in its directory
"""
