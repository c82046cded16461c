"""Programs beside the render that the command line starts.

stylize    `farm stylize`: one picture
doctor     `farm doctor`: what this machine has and lacks
bench      `farm bench`: how fast this machine paints
demo       `farm demo`: a film and a painting that the farm draws itself
live       `farm live`: a camera or a film in real time
measure_film    `farm measure`: how steady a film of any tool is, and how much of it is painted
"""
