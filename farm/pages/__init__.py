"""A job as a page: one self-contained file afterwards (`farm report`), the same page live (`farm watch`).

facts           everything that the job's directory tells, gathered; pure from there on
findings        what of it deserves a look: outliers, time by worker
job_pictures    source frames, painted frames, and where two of them differ
plots           the plots, as SVG that follows the page's colours
sections        the page, from templates/
document        the templates, and what a browser may do with a page
measuring       warp errors and fine detail, where they can be measured from here
report          the page as one file
measured        the page of `farm measure`
preview         the sheet of `farm preview`
watch           a small server for the live page
loopback        serving to this machine alone
"""
