"""One step of the decoder, all layers and beams, as one parallel kernel (readable twin: decoder.decoder_step).

A step reads every weight once and does little with it, so time is reading: each panel of weights is read by one thread
and used for all beams. The cache is the readable one: row `keys[l, u, k]` was written by beam k at position u, and
`ancestors[k, u]` says whose row beam k continues; what it looks at in the memory is in memory.py.

Threads wait for each other only between blocks, of which a layer has three; what a block's parts do is in blocks.py.

Versions (s2t-small, 5 beams, position 16, memory 250, two cores that read 57 GB/s together, so 0.85 ms for 48 MB; one
call of the kernel): a phase for each product, 49 a step, panels one by one to whoever comes 1.61 ms; panels to threads
in memory order 1.23; helpers awake between steps 1.08; whole blocks in parts, 20 phases, 0.95, with weights in bytes
0.40 instead of 0.49. Within that, found one by one: weights asked for 8 KB ahead come to the first-level cache, not
the second (the vocabulary's product 0.185 instead of 0.195); memory begins at lines of the cache, 2 % of a step (bytes
5 %); all panels of a part in one call; no exponential makes denormal numbers, 150 cycles each (attention over 17 tokens
0.020 instead of 0.047, half of it by taking four positions' sums at once); arguments handed over in one row
(objects.py) 0.02. Feed-forward parts of half the size, so that a thread that the machine slows down can be helped,
gained nothing, nor did asking for more or fewer lines where reading jumps.

The first steps of an utterance are slower: 2.7, 2.2, 1.3 ms, then 1.0, in bytes 1.0, 0.5, then 0.42. While the encoder
ran (or nothing did, for 30 ms) others on the machine seem to have taken the shared cache: weights come from memory, at
22 GB/s instead of 55; numpy's reading of them takes the same course. It is not the clock of that cache: reading other
arrays first for as long changes nothing. Nor does reading the weights once: they are kept only after several times.
"""

from ..build.device import entry, inlined
from ..simd.scheduling import await_turn, next_turn, slot, take_near, wait_near
from ..simd.vector import at, skip
from ..threads import EACH, NUMBERS, SIZE, TURNS
from .host import BLOCKS, CROSS, SELF, DecoderLayersCall
from .shards import (
    attend_to_sound,
    attend_to_text,
    feed_forward,
    find_peak,
    first_weights,
    follow_stream,
    leave_stream,
    parts_of,
    project_to_vocabulary,
)

AHEAD = 512  # lines of the next weights, at most, that a waiting thread asks for


@inlined
def _meet(state, phase, shape, w, plan, me, done, items):
    """Count what was done and wait for the others, asking meanwhile for the weights of the next phase."""
    if phase < BLOCKS * shape.layers:
        ahead = at(w, first_weights(phase + 1, shape, plan, me))
        wait_near(state, phase, shape.threads, done, items, ahead, AHEAD)
    else:
        wait_near(state, phase, shape.threads, done, items, at(w, 0), 0)


@entry
def decoder_layers(call: DecoderLayersCall):
    """From the embedded tokens in the stream to logits; the cache gets its new rows.

    A turn's numbers are U, the length of the cache, and where the logits go, counted in floats from `room`, in which
    they need not lie: every step's are an array of their own.
    keys, values (L, capacity, K, D) and ancestors (K, capacity), flat; cross: memory.Memory's block; segments: comp of
    the output projections, head group by head group, where weights are bytes.
    """
    session, calls, states, turn, patience, shape, places, w, plan, segments, cross, keys, values, ancestors, room = (
        call
    )
    turn = next_turn(session, turn, patience)
    while await_turn(session, calls, turn, patience, at(w, first_weights(0, shape, plan, min(1, patience))), AHEAD):
        state, numbers = skip(states, turn * session[SIZE]), skip(session, NUMBERS + EACH * turn)
        length, logits, begin, end = numbers[0], numbers[1], numbers[2], numbers[3]
        me, seen, last = slot(state), -1, BLOCKS * shape.layers
        own = places.scratch + me * shape.scratch
        for phase in range(begin, end):
            items, done, layer = parts_of(phase, shape), 0, phase // BLOCKS
            item = take_near(state, phase, shape.threads, me, items)
            if item < items and phase <= last:  # only now is the scratch its own: a late helper finds no item
                follow_stream(phase, seen, shape, places, w, plan, room, own)
                seen = phase
            while item < items:
                if item == 0 and phase <= last:
                    leave_stream(phase, shape, places, room, own)
                if phase > last:
                    find_peak(item, shape, places, room, logits)
                elif phase == last:
                    project_to_vocabulary(item, shape, places, w, plan, room, own, logits)
                elif phase % BLOCKS == SELF:
                    attend_to_text(
                        *(phase, layer, item, shape, places, w, plan, segments),
                        *(keys, values, ancestors, length, room, own),
                    )
                elif phase % BLOCKS == CROSS:
                    attend_to_sound(phase, layer, item, shape, places, w, plan, segments, cross, room, own)
                else:
                    feed_forward(phase, layer, item, shape, places, w, plan, room, own)
                done += 1
                item = take_near(state, phase, shape.threads, me, items)
            _meet(state, phase, shape, w, plan, me, done, items)
        turn += 1
        if patience == 0 or turn == TURNS:
            return
