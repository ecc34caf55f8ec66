"""Prints what TensorBoard itself reads in a log folder, as JSON.

Goes through the data provider that feeds TensorBoard's pages.
"""

import hashlib
import json
import sys

from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer

folder = sys.argv[1]
multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0, "text": 0, "images": 0})
multiplexer.AddRunsFromDirectory(folder)
multiplexer.Reload()
provider = data_provider.MultiplexerDataProvider(multiplexer, folder)
common = {"experiment_id": "", "downsample": 1000}
ctx = context.RequestContext()

found = {}
for run, tags in provider.read_scalars(ctx, plugin_name="scalars", **common).items():
    for tag, data in tags.items():
        found[f"{run} {tag}"] = [[d.step, d.wall_time, d.value] for d in data]
for run, tags in provider.read_tensors(ctx, plugin_name="text", **common).items():
    for tag, data in tags.items():
        found[f"{run} {tag}"] = [[d.step, d.wall_time, d.numpy.item().decode()] for d in data]
for run, tags in provider.read_blob_sequences(ctx, plugin_name="images", **common).items():
    for tag, data in tags.items():
        found[f"{run} {tag}"] = [
            # The first two blobs are the width and the height.
            [d.step, d.wall_time] + [provider.read_blob(ctx, blob_key=v.blob_key) for v in d.values] for d in data
        ]
        for entry in found[f"{run} {tag}"]:
            width, height, png = entry[2:]
            entry[2:] = [int(width), int(height), hashlib.sha256(png).hexdigest(), len(png)]
print(json.dumps(found, sort_keys=True))
