"""Training of the bundled prior: a pixel-space text-to-image model in DeepFloyd IF's layout.

config    one training run
dataset   traced views, and a batch of pictures with captions for every step
prefetch  batches drawn ahead of their step
model     tokenizer, text encoder, UNet and noise schedule
loss      the error of the predicted velocity
trainer   the loop, its checkpoints and its running average
plots     loss curve and samples
"""
