"""The frozen networks of a diffusers prior, and how a GPU runs them.

text_encoder  texts to embeddings, on the device or parked on the host
vae_encoder   pictures to latents, and the gradient on its way back
replay        recordings of a network, one for each shape of its inputs
cuda_graph    CUDA graphs, as `replay` records them
"""
