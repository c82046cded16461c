"""A job as a page: one self-contained file afterwards (`farm report`), the same page live (`farm watch`).

facts     everything that the job's directory tells, gathered; pure from there on
gauge     what of it deserves a look: outliers, time by worker
pictures  frames as JPEG, as large as the page may become
plots     the plots, as SVG that follows the page's colours
sections  the page, from templates/
document  the templates, and what a browser may do with a page
report    the page as one file
preview   the sheet of `farm preview`
watch     a small server, on loopback alone
"""
