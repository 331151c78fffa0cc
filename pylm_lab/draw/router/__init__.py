"""The router view: trace → survey → plan → geometry → scene.

`reading` and `tally` make the survey: what there is. `plan` and `order` decide who stands where,
`geometry` measures; `inside`, `table`, `inner`, `outside` and `legend` put it on a `sheet`, with
the words of `caption`. `draw.layout` joins them.
"""
