"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so its time is that of reading: each panel of weights is read by
one thread and used for all beams. cache_host.py has the cache, cross_kv.py what the step looks at in the memory.

Threads wait for each other only between blocks, of which a layer has three; shards.py has what a block's parts do.

Versions (s2t-small, 5 beams, position 16, memory 250, two cores that read 57 GB/s together, so 0.85 ms for 48 MB; one
call of the kernel): a phase for each product, 49 a step, panels one by one to free threads 1.61 ms; panels to threads
in memory order 1.23; helpers awake between steps 1.08; whole blocks in parts, 20 phases, 0.95, with weights in bytes
0.40 instead of 0.49. Within that, found one by one: weights prefetched 8 KB ahead go to the first-level cache, not
the second (the vocabulary's product 0.185 instead of 0.195); buffers begin at lines of the cache, 2 % of a step (bytes
5 %); all panels of a part in one call; no exponential makes denormal numbers, 150 cycles each (attention over 17 tokens
0.020 instead of 0.047, half of it by taking four positions' sums at once); arguments handed over in one row
(build/arguments.py) 0.02. Feed-forward parts of half the size, so that a slowed-down thread can be helped,
gained nothing, nor did prefetching more or fewer lines where reading jumps.

The first steps of an utterance are slower: 2.7, 2.2, 1.3 ms, then 1.0, in bytes 1.0, 0.5, then 0.42. While the encoder
ran (or nothing did, for 30 ms) others on the machine seem to have taken the shared cache: weights come from memory, at
22 GB/s instead of 55; numpy's reading of them takes the same course. It is not the clock of that cache: reading other
arrays first for as long changes nothing. Nor does reading the weights once: they are kept only after several times.
"""

from ..build.device import entry, inlined
from ..simd.scheduling import (
    await_iteration,
    barrier_prefetching,
    first_iteration,
    next_or_steal,
    phase_counter,
    thread_id,
)
from ..simd.vector import floats_at, skip
from ..threads import EACH, ITERATIONS, NUMBERS, SIZE
from .host import BLOCKS, CROSS, SELF, DecoderLayersCall
from .shards import (
    Part,
    attend_to_sound,
    attend_to_text,
    feed_forward,
    find_peak,
    first_weights,
    parts_of,
    project_to_vocabulary,
    publish_residual,
    sum_partials,
)

PREFETCHED_LINES = 512  # lines of the next weights, at most, while a thread waits


@inlined
def _compute(step, part, length, logits):
    """One part of a phase."""
    last, block = BLOCKS * step.shape.layers, part.phase % BLOCKS
    if part.phase > last:
        find_peak(step, part.number, logits)
    elif part.phase == last:
        project_to_vocabulary(step, part, logits)
    elif block == SELF:
        attend_to_text(step, part, length)
    elif block == CROSS:
        attend_to_sound(step, part)
    else:
        feed_forward(step, part)


@inlined
def _run_phase(step, state, thread, phase, seen, length, logits):
    """A thread's share of a phase, up to the moment when all is done; the phase whose stream it has then."""
    shape, last = step.shape, BLOCKS * step.shape.layers
    items, computed, own = parts_of(shape, phase), 0, step.offsets.scratch + thread * shape.scratch
    item = next_or_steal(state, phase, shape.threads, thread, items)
    if item < items and phase <= last:  # only now is the scratch its own: a late helper finds no item
        sum_partials(step, phase, seen, own)
        seen = phase
    while item < items:
        if item == 0 and phase <= last:
            publish_residual(step, phase, own)
        _compute(step, Part(phase, phase // BLOCKS, item, own), length, logits)
        computed += 1
        item = next_or_steal(state, phase, shape.threads, thread, items)
    more = phase < last
    ahead = first_weights(step, phase + 1 if more else 0, thread)
    counter = phase_counter(state, phase, shape.threads)
    barrier_prefetching(counter, computed, items, ahead, PREFETCHED_LINES if more else 0)
    return seen


@entry
def decoder_layers(call: DecoderLayersCall):
    """From the embedded tokens in the stream to logits with their peaks; the cache gets its new rows.

    The numbers of an iteration are U, the length of the cache; the address of the logits, which are a new array every
    time; and the phases to run: all of them, unless a stage is looked at.
    """
    loop, step = call.loop, call.step
    iteration = first_iteration(loop)
    while await_iteration(loop, iteration, first_weights(step, 0, min(1, loop.spin_limit)), PREFETCHED_LINES):
        state, numbers = skip(loop.states, iteration * loop.board[SIZE]), skip(loop.board, NUMBERS + EACH * iteration)
        logits, thread, seen = floats_at(numbers[1]), thread_id(state), -1
        for phase in range(numbers[2], numbers[3]):
            seen = _run_phase(step, state, thread, phase, seen, numbers[0], logits)
        iteration += 1
        if loop.spin_limit == 0 or iteration == ITERATIONS:
            return
