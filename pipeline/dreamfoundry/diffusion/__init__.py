"""Stage 2, and the frozen 2D prior: its identity, its weights, and the gradient that it gives to pictures.

| module          | contents                                                            | imports          |
|-----------------|---------------------------------------------------------------------|------------------|
| weights         | folder of the weights, their digest and licence                     | no torch         |
| weights_cache   | weights on S3, fetched once per machine                             | no torch         |
| prior           | `ScorePrior`: the calls of an optimisation, and their promises      | torch            |
| loading         | from a folder in diffusers format to a prior                        | torch, diffusers |
| diffusers_prior | a prior over a UNet and perhaps a VAE: latents or pixels            | torch            |
| networks/       | text encoder and VAE encoder; recordings of networks on a GPU       | torch            |
| lora            | low-rank changes, merged into the weights at loading                | torch            |
| random_weights  | SD 2.1 and DeepFloyd IF with random weights, for measurements       | torch, diffusers |
| analytic        | a prior in closed form: exact, without weights, for tests           | torch            |
| prompts         | wordings of a prompt per view, shading and background               | torch            |
| noising         | the forward process: pictures and noise                             | torch            |
| perp_neg        | embeddings between views, and away from the wrong ones              | torch            |
| inversion       | the noise that belongs to a picture                                 | torch            |
| guidance        | score distillation: from a noise prediction to a gradient           | torch            |
"""
