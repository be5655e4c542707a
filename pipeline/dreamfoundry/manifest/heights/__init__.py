"""Default heights of assets, from the words of their prompts.

typical  a prompt -> the height that it is about
heights.toml holds the table: everyday nouns with typical heights in metres.
"""
