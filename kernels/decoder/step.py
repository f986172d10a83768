"""One step of the decoder, all layers, as one parallel kernel (readable twins: decoder.decoder_step, step_together).

It takes the beams of any number of utterances. For one, a step reads every weight and does little with it, so its time
is that of reading: each panel of weights is read by one thread and used for all rows. For many, weights are read once
for all, and the time is that of arithmetic. cache_host.py has the cache, cross_kv.py what the step looks at in the
memory.

Threads wait for each other only between blocks, of which a layer has three. shards.py has how blocks and rows are cut
into parts, blocks.py what a block's parts do.

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
from ..simd.vector import skip
from ..threads import EACH, ITERATIONS, NUMBERS, SIZE
from .blocks import attend_to_sound, attend_to_text, feed_forward, find_peak, project_to_vocabulary
from .host import ASKS, BEGIN, BLOCKS, CROSS, END, ROWS, SELF, SERIAL, SHARES, DecoderLayersCall
from .shards import Part, first_weights, parts_of, publish_residual, sum_partials

PREFETCHED_LINES = 512  # lines of the next weights, at most, while a thread waits


@inlined
def _compute(step, part):
    """One part of a phase."""
    block = part.phase % BLOCKS
    if part.phase == BLOCKS * step.shape.layers:
        project_to_vocabulary(step, part)
    elif block == SELF:
        attend_to_text(step, part)
    elif block == CROSS:
        attend_to_sound(step, part)
    else:
        feed_forward(step, part)


@inlined
def _part_of(step, numbers, thread, phase, item):
    """The part that is an item of a phase: those of a share follow one another."""
    rows, shares, parts = numbers[ROWS], numbers[SHARES], parts_of(step.shape, phase)
    share, own = item // parts, step.offsets.scratch + thread * step.shape.scratch
    first, end = share * rows // shares, (share + 1) * rows // shares
    return Part(phase, phase // BLOCKS, item % parts, own, first, end - first, numbers[ASKS])


@inlined
def _prepare_share(step, numbers, part, thread, share):
    """Bring the thread's stream up to date for a share of the rows. `seen` has the phase whose stream its copy is."""
    seen = skip(step.seen, thread * step.shape.threads + share)
    phase = numbers[SERIAL] * (BLOCKS * step.shape.layers + 3) + part.phase + 1  # no other phase has this number
    sum_partials(step, part, 1 if seen[0] == phase - 1 else 0)
    seen[0] = phase


@inlined
def _compute_items(step, numbers, state, thread, phase):
    """A thread's share of a phase before the last; returns how many parts it has computed."""
    parts, ready, computed = parts_of(step.shape, phase), -1, 0
    items = parts * numbers[SHARES]
    item = next_or_steal(state, phase, step.shape.threads, thread, items)
    while item < items:  # only now is the scratch its own: a late helper finds no item
        part = _part_of(step, numbers, thread, phase, item)
        if item // parts != ready:
            ready = item // parts
            _prepare_share(step, numbers, part, thread, ready)
        if part.number == 0:
            publish_residual(step, part)
        _compute(step, part)
        computed += 1
        item = next_or_steal(state, phase, step.shape.threads, thread, items)
    return computed


@inlined
def _find_peaks(step, numbers, state, thread, phase):
    """A thread's share of the last phase, whose items are rows of logits; returns how many it has computed."""
    rows, computed = numbers[ROWS], 0
    row = next_or_steal(state, phase, step.shape.threads, thread, rows)
    while row < rows:
        find_peak(step, row, numbers[ASKS])
        computed += 1
        row = next_or_steal(state, phase, step.shape.threads, thread, rows)
    return computed


@inlined
def _first_part(shape, numbers, thread, phase):
    """Return which part of its first share a thread begins a phase with."""
    parts = parts_of(shape, phase)
    return parts * numbers[SHARES] * thread // shape.threads % parts


@inlined
def _run_phase(step, numbers, state, thread, phase):
    """A thread's share of a phase, up to the moment when all is done."""
    shape, last = step.shape, BLOCKS * step.shape.layers
    if phase > last:
        computed, items = _find_peaks(step, numbers, state, thread, phase), numbers[ROWS]
    else:
        computed = _compute_items(step, numbers, state, thread, phase)
        items = parts_of(shape, phase) * numbers[SHARES]
    following = phase + 1 if phase < last else 0
    ahead = first_weights(step, following, _first_part(shape, numbers, thread, following))
    counter = phase_counter(state, phase, shape.threads)
    barrier_prefetching(counter, computed, items, ahead, PREFETCHED_LINES if phase < last else 0)


@entry
def decoder_layers(call: DecoderLayersCall):
    """From the embedded tokens in the stream to logits with their peaks; the caches get their new rows.

    The numbers of an iteration say which phases to run: all of them, unless a stage is looked at. They also have the
    sizes that decide how many items there are, so that a late helper counts those of its own iteration.
    """
    loop, step = call.loop, call.step
    iteration, shape = first_iteration(loop), call.step.shape
    first = parts_of(shape, 0) * min(1, loop.spin_limit) // 2
    while await_iteration(loop, iteration, first_weights(step, 0, first), PREFETCHED_LINES):
        state, numbers = skip(loop.states, iteration * loop.board[SIZE]), skip(loop.board, NUMBERS + EACH * iteration)
        thread = thread_id(state)
        for phase in range(numbers[BEGIN], numbers[END]):
            _run_phase(step, numbers, state, thread, phase)
        iteration += 1
        if loop.spin_limit == 0 or iteration == ITERATIONS:
            return
