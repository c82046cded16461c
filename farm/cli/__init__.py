"""The command line of the farm: what is typed, and what is printed.

main        the commands of one machine, and the only place where an error becomes an exit code
service     the commands for a cluster          pages   preview, report, watch
corrected   accept, versions, restore
train, live, flow, keys, measure                one command or group each
arguments   arguments and options of several commands, and how a result is printed
options     the options that make a spec        fields  one such option from a field of the spec
planning, preview                               what `farm plan` and `farm preview` do
plan_text, progress                             a plan as text; the bars of long commands
reference   all of the commands' help as docs/cli.md
"""
