"""The names of a pack's files, and the description of the format that every pack carries with it."""

NAME, VERSION = "s2t-np parity pack", 1
MANIFEST = "manifest.json"
SINGLE, DOUBLE, PARAMETERS = "float32.safetensors", "float64.safetensors", "parameters.safetensors"
README = "FORMAT.md"

FORMAT_MD = """\
# A parity pack

The numbers that every stage of an S2T model computes for one recording, as a reference for ports to other languages.

    manifest.json            the stages in the order of computation, with a tolerance for each
    float64.safetensors      {stage: array}, the truth (token ids are I64)
    float32.safetensors      the same from a run in float32 from the first sample on
    parameters.safetensors   the checkpoint's vectors (biases, normalisations), which `check` needs for its diagnoses

## How to use it

1. Read `samples` (float32.safetensors): mono, in [-1, 1], at manifest.audio.sampling_rate. Feed it to your front end.
2. Read `decoder.input_ids`, the transcript so far at each position, start token first. Feed all of it to your decoder
   at once (teacher forcing), or token by token through your cache: the numbers are the same.
3. Write what your program computes under the names below: one .npz, one .safetensors, or a folder of .npy files named
   STAGE.npy. Any subset of the stages will do; the more there are, the closer the first wrong one is to its cause.
4. `s2t-np check PACK DUMP`

There is no batch axis: a pack holds one utterance.

## safetensors in five lines

    8 bytes   N, the length of the header, unsigned, little-endian
    N bytes   JSON, padded with spaces: {"stage": {"dtype": "F32", "shape": [9, 80], "data_offsets": [begin, end]}, ...}
    the rest  the arrays; offsets count from the first byte after the header

dtype is F32, F64 or I64, little-endian; the last axis is contiguous (C order). "__metadata__" in the header is not
an array.

An .npy file, if you prefer to write those: the 10 bytes 93 4E 55 4D 50 59 01 00 LL LL, where LL LL is the length of the
text that follows, little-endian; that text, {'descr': '<f4', 'fortran_order': False, 'shape': (9, 80), }, padded with
spaces and ended by a line feed so that all of this has a multiple of 64 bytes; then the numbers.

## The stages

N samples, T frames, M mel bins, C channels, S encoder positions, U tokens, H heads, D model width, F feed-forward
width, V vocabulary.

    samples                           (N)       in [-1, 1]
    features.frames                   (T, window)  times 2^15; 25 ms every 10 ms, whole frames only
    features.remove_dc                (T, window)  minus the mean of each frame
    features.preemphasize             (T, window)  x[n] - 0.97 x[n-1], x[-1] = x[0]
    features.povey_window             (window)     (0.5 - 0.5 cos(2 pi n / (window - 1)))^0.85
    features.windowed                 (T, window)
    features.power_spectrum           (T, fft/2)   |FFT|^2, zero-padded to fft, the Nyquist bin left out
    features.mel_bank                 (fft/2, M)   triangles on the scale 1127 ln(1 + f/700) from 20 Hz to Nyquist
    features.mel                      (T, M)
    features.log_mel                  (T, M)       ln(max(x, 2^-23))
    features.cmvn                     (T, M)       per bin over T: minus mean, over the biased deviation
    encoder.conv.conv_layers.I        (S_I, 2C)    the convolution; .glu (S_I, C): a * sigmoid(b), x = [a | b]
    encoder.embed_scale               (S, D)       the last of them times sqrt(D)
    encoder.embed_positions           (S, D)       [sin | cos], positions from pad_token_id + 1
    encoder.embeddings                (S, D)       their sum
    encoder.layers.I.*                             see below
    encoder.layer_norm                (S, D)       also called memory
    decoder.input_ids                 (U)
    decoder.embed_tokens              (U, D)       rows of the table
    decoder.embed_scale               (U, D)       times sqrt(D)
    decoder.embed_positions, .embeddings  (U, D)   as in the encoder
    decoder.layers.I.*
    decoder.layer_norm                (U, D)
    lm_head                           (U, V)       also called logits
    log_probs                         (U, V)       natural logarithms
    tokens                            (U + 1)      the best transcript of the model's own search, start token first

A layer, in its order (ATTN is self_attn, in the decoder then also encoder_attn; rows are S or U):

    ATTN_layer_norm         (rows, D)
    ATTN.q_proj k_proj v_proj  (rows, D)     with bias, q not yet scaled; k and v of encoder_attn have S rows
    ATTN.attn_weights       (H, rows, keys)  softmax(q k^T (D/H)^-0.5); in the decoder's self_attn keys 0..row only
    ATTN.context            (rows, D)        heads side by side
    ATTN.out_proj           (rows, D)        before the residual is added
    ATTN_residual           (rows, D)        and after
    final_layer_norm        (rows, D)
    fc1                     (rows, F)        before the ReLU
    activation_fn           (rows, F)        and after
    fc2                     (rows, D)        before the residual is added
    output                  (rows, D)        and after

Names may begin with "model." as in a checkpoint, and `encoder.layers.0` is read as `encoder.layers.0.output`.

## manifest.json

`stages`: stage, shape, dtype, rms (of the truth), float32_error and tolerance {rms, largest}, made_by (the function of
s2t-np, its file and line). A stage is right when the root mean square and the largest of its differences to the truth
are both within tolerance: ten and a hundred times those of our own float32 run, or of float32's rounding where that is
more.
`config` and `features` are the model's config.json and feature settings; `tokens`, `text`, `score`, `token_log_probs`
are what the search should give (natural logarithms). `sha256` has the checksums of the three files of numbers.
"""
