"""The frozen 2D prior: its identity, its weights, and the gradient that it gives to pictures.

| module         | contents                                                            | imports          |
|----------------|---------------------------------------------------------------------|------------------|
| weights        | folder of the weights, their digest and licence                     | no torch         |
| weights_cache  | weights on S3, fetched once per machine                             | no torch         |
| prior          | `ScorePrior`, and one implementation for any diffusers folder       | torch            |
| prior_parts    | schedule, tokenizer and networks of a folder, loaded frozen         | torch, diffusers |
| lora           | low-rank changes, merged into the weights at loading                | torch            |
| cuda_graph     | networks recorded once per shape and replayed                       | torch            |
| random_weights | SD 2.1 and DeepFloyd IF with random weights, for measurements       | torch, diffusers |
| analytic       | a prior in closed form: exact, without weights, for tests           | torch            |
| prompts        | wordings of a prompt per view, shading and background               | torch            |
| noising        | the forward process: pictures and noise                             | torch            |
| perp_neg       | embeddings between views, and away from the wrong ones              | torch            |
| inversion      | the noise that belongs to a picture                                 | torch            |
| guidance       | score distillation: from a noise prediction to a gradient           | torch            |
"""
