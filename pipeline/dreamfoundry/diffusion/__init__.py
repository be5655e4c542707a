"""The frozen 2D prior: who it is, what it is asked, and what it says about a picture.

| module    | what it knows                                                        | imports        |
|-----------|----------------------------------------------------------------------|----------------|
| weights   | where the weights lie, their digest and licence                      | no torch       |
| prior     | `ScorePrior`, and one loader for any diffusers folder                | torch, diffusers |
| analytic  | a prior in closed form: no weights, exact, for tests and dry runs    | torch          |
| prompts   | the wording of a prompt for each view, shading and background        | torch          |
| noising   | the forward process: pictures, noise, and how much of each           | torch          |
| perp_neg  | wordings between views, and away from the wrong ones                 | torch          |
| inversion | the noise that belongs to a picture                                 | torch          |
| guidance  | score distillation: from a noise prediction to a gradient            | torch          |
"""
