"""The other encoders that fairseq's speech-to-text models have, each in one file; the decoder is the same for all.

The released S2T models have the encoder of encoder.py, one room up.
"""
