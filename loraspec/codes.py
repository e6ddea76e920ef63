"""The stable codes: what each means and what to do. One line per code and no other order than the alphabet's.

Whoever prints a new code adds its line here; ``docs/codes.md`` is made from it, and a test compares both with the sources.
"""

from __future__ import annotations

from typing import Final

# code | meaning | what to do
_TABLE: Final = """
E-ADAPTER-SHAPE | A file holds an adapter of another rank or with other targets. | Use the spec that it was trained with.
E-ADAPTER-TARGETS | No module that can be adapted has this name. | Look at the endings that the message names.
E-CAP-AMBIGUOUS | Two images would share one caption file. | Rename one of the two images, and give each its caption.
E-CAP-CASE | A caption's name differs from its image's in upper and lower case. | Rename the caption: other systems tell the two apart.
E-CAP-CONTROL | A caption holds control characters. | Take them out.
E-CAP-DRAFT | A captioner wrote no caption of some images; each is named. | Look at what it said; `loraspec captions draft` asks again.
E-CAP-EMPTY | A caption is empty. | Describe the picture, or take the file away and choose a captioner.
E-CAP-ENCODING | A caption is not UTF-8. | Save it as UTF-8.
E-CAP-LEDGER | The ledger of captions cannot be read or written. | Put back the line that is named, or look at the file's rights.
E-CAP-MISSING | Images have no caption. | Write one for each, or choose a captioner: `[captions.captioner]`.
E-CAP-READ | A caption cannot be read. | Look at the file and its rights.
E-CAP-REVIEW | `captions.review = "required"`, and captions are not approved. | `loraspec captions review SPEC`.
E-CAP-SIZE | A caption is larger than 64 KiB. | A caption is a line of text.
E-DATA-ARCHIVE | A data source names an archive. | Unpack it yourself and name the folder; loraspec never unpacks.
E-DATA-COLLIDE | Two images have names that are one name on other systems. | Rename one of the two.
E-DATA-COUNT | A data source holds fewer images than asked for. | Ask for fewer, or widen the choice.
E-DATA-DEPTH | Folders lie in each other more than 16 deep. | Bring the images nearer.
E-DATA-DRIFT | An image or a caption is not what it was. | Leave the data alone while it is used, or start again.
E-DATA-EMPTY | A data source has no images, or its folder is not there. | Put images there, or mend `path`.
E-DATA-HELDOUT | As many images are held out as there are. | Lower `grid.heldout`.
E-DATA-NAME | A file name holds characters that cannot be printed. | Rename the file.
E-DATA-PACKED | A tar or Parquet file is damaged, or holds samples that cannot be told apart. | Get the file again.
E-DATA-READ | A data source is no folder, or cannot be read. | Name a folder that you may read.
E-DATA-RIGHTS | Nobody says with which right images are used. | `rights = "own"`, `"licensed"` or `"public-domain"` in their source.
E-DATA-SIZE | A data source has more than 100,000 files. | Name the folder that holds the images alone.
E-DATA-TABLE | A table of captions is missing, doubled or odd, or names images that are not there. | Mend the row that is named.
E-FETCH-DRIFT | An image that was fetched was changed, or is gone. | Delete it and fetch again, or leave it out with `exclude`.
E-FETCH-GATED | A data set's owner wants to know who takes it. | Log in, accept its conditions, fetch again.
E-FETCH-HTTP | A server cannot be reached, is busy, refuses, or breaks off. | `loraspec fetch` again: it goes on where it was.
E-FETCH-IMAGE | What a server sent is no image that can be used. | Leave it out with `exclude`, or try later.
E-FETCH-KEY | A service wants a key. | Set the environment variable that is named.
E-FETCH-LIST | The list of what was fetched is damaged. | Take the line out, and fetch again.
E-FETCH-NONE | Images of a source were not fetched yet, or nothing fits its options. | `loraspec fetch SPEC`, or widen the choice.
E-FETCH-TABLE | A table that lists images is not what it is documented to be. | Get it again, or mend the column's name.
E-IMG-ALPHA | An image has transparency: what would show is not known. | Flatten it on the background that you want learnt.
E-IMG-ANIMATED | An image has several frames. | Keep the frame that you mean.
E-IMG-ASPECT | An image is more than ten times as long as wide. | Cut out the part that you mean.
E-IMG-CORRUPT | An image is damaged. | Get it again from where it came.
E-IMG-DEPTH | An image has more than 8 bits per channel. | Save it with 8: how the rest is dropped is your choice.
E-IMG-EMPTY | An image file has no bytes. | Get it again from where it came.
E-IMG-FORMAT | A file is no PNG, JPEG or WebP image. | Save it as one of these.
E-IMG-METADATA | An image holds very much text beside its pixels. | Save it without metadata.
E-IMG-MODE | An image has colours that are not RGB (CMYK). | Convert it to RGB with its colour profile.
E-IMG-PIXELS | An image has more than 64 million pixels, or says so. | Make it smaller.
E-IMG-READ | An image cannot be read, or is a folder, a pipe, a device. | Look at the file and its rights.
E-IMG-SIZE | An image file is larger than 256 MiB. | Make it smaller.
E-IMG-SLOW | An image is made of so many parts that decoding it would take long. | Save it anew.
E-IMG-SMALL | An image does not reach one step of a bucket. | Take it out, find a larger one, or set `data.buckets.upscale = true`.
E-IMG-TRUNCATED | The end of an image is missing. | Get it again from where it came.
E-LATENT-NONFINITE | An image's latents are not finite. | Let the VAE compute in float32 (`model.vae_dtype`), or take the image out.
E-LOCK-DRIFT | Something is not as the lock says; every field is listed. | Put it back, lock anew, or `--allow-drift`.
E-LOCK-EDITED | A lock was changed by hand. | Change the spec, then `loraspec lock SPEC`.
E-LOCK-EXPECTED | A lock does not say what should come out. | `loraspec lock SPEC --expect RUN`.
E-LOCK-FORM | A file is no lock. | `loraspec lock SPEC`.
E-LOCK-MERGE | A lock has the marks of a merge conflict in it. | Merge the spec, then `loraspec lock SPEC`.
E-LOCK-MISSING | There is no lock. | `loraspec lock SPEC`.
E-LOCK-REVISION | A lock cannot hold a branch or tag of the hub: it may move. | Write the commit in `model.revision`.
E-LOCK-SPEC | A lock, or a run, belongs to another spec; or a lock's spec is gone. | `loraspec lock SPEC`.
E-LOCK-VERSION | A lock has another format. | Upgrade loraspec, or `loraspec lock SPEC`.
E-MODEL-CODE | A base model's folder asks for code to be run. | Use a folder without it; loraspec never runs a model's code.
E-MODEL-CONFIG | A config file of the base model cannot be read. | Get the base again.
E-MODEL-DRIFT | The base is not the locked one (see both digests), or changed in use. | Take the locked base, lock anew, or `--allow-drift`.
E-MODEL-KEYS | A base model's file lacks tensors, or has others. | Get the base again, or use the family that it belongs to.
E-MODEL-KIND | The base is another kind of model than the spec says. | Mend `model.use` or `model.checkpoint`.
E-MODEL-PATH | A path to a base model leads nowhere; it is never taken for a hub id. | Mend the path.
E-PATH-ESCAPE | A path in a spec leads out of its folder. | Plugin files lie beside the spec; `--output` names the run's folder.
E-PATH-EXISTS | A file is there already. | Choose another name, or `--force`.
E-PATH-EXPAND | A path holds `~`, `$NAME` or `%NAME%`. | Write it in full, relative to the spec: nothing is ever expanded.
E-PATH-NAME | A path holds characters that cannot be seen. | Take them out.
E-PATH-SEP | A path holds a backslash. | Write `/` on every system.
E-PATH-SYMLINK | A link leads out of the data's folder, to nowhere, or round in circles. | Put a copy there.
E-PATH-URL | An address stands where a path belongs. | Get the files yourself; a run downloads nothing that a spec points to.
E-PLUGIN-API | A plugin was made for another version of the plugin interface. | Install a version of the plugin that fits.
E-PLUGIN-CLASH | Several plugins offer a component of this name. | Write `plugin:name`.
E-PLUGIN-CONTRACT | A plugin breaks the rules of its kind. | Tell its author.
E-PLUGIN-DRIFT | An installed package has another version than the spec requires. | Install one that fits.
E-PLUGIN-IMPORT | A plugin cannot be imported. | `loraspec plugins show NAME` says why.
E-PLUGIN-MISSING | No installed plugin offers this, or a package is not installed. | Look at the name; install it if you trust its author.
E-PLUGIN-REVISION | A plugin's weights are named on the hub without a commit. | Write the commit in its `revision`.
E-PLUGIN-WEIGHTS | A plugin's weights are not where the spec says. | Mend the path in its `weights`.
E-RUN-DAMAGED | A committed file of a run is not what was committed. | Put it back from a copy, or begin a new run.
E-RUN-DISK | The disk failed or is full. | Mend it and start the run again: what it has saved is kept.
E-RUN-DIVERGED | An epoch that was trained again came out different. | Compare packages, threads and device with the first time.
E-RUN-EVALUATION | An evaluator failed; all epochs are committed. | `loraspec resume` judges them again.
E-RUN-FOREIGN | The folder is not empty and holds no run. | Give the run a folder of its own.
E-RUN-FROZEN | Steps changed no weight. | Look at the optimizer's plugin and the learning rate.
E-RUN-IDENTITY | The folder holds another run than this spec makes. | Put the spec back, or give it another `run.name`.
E-RUN-LAYOUT | A run's folder is not laid out as a run. | Do not use it, or put it back from a copy.
E-RUN-LOCKED | Another process works on this run. | Wait until it ends.
E-RUN-NONFINITE | Loss, gradients or weights are not finite. | Read what the message says of the step; lower the learning rate.
E-RUN-OOM | Memory does not suffice. | Smaller batches, gradient checkpointing, or 16-bit weights.
E-RUN-STATE | The state of an optimizer or scheduler cannot be restored. | Look at the plugin that it comes from.
E-RUN-STREAM | An epoch saw other images, captions or draws than planned. | Leave the data alone while a run goes on, and start again.
E-RUN-UNJUDGED | A run has no pictures to compare. | Draw a grid, or let metrics judge: `loraspec resume RUN` does what the spec asks for.
E-RUN-UNRANKED | A run has no ranking that could recommend an epoch. | Name the epoch, or let metrics judge.
E-RUN-VERSION | A run was written by a newer loraspec. | Upgrade loraspec.
E-SPEC-CHOICE | A value is none of those that the key knows. | Choose one that the message names.
E-SPEC-CONFLICT | Two keys contradict each other. | Change one of the two that are named.
E-SPEC-DEPTH | A spec nests deeper than 32 levels. | Write it flatter.
E-SPEC-DUP | A key or a value is there twice. | Keep one of the two.
E-SPEC-ENCODING | A spec is not UTF-8. | Save it as UTF-8.
E-SPEC-FORMAT | A spec is JSON or YAML. | A spec is TOML.
E-SPEC-MISSING | A required key is missing. | Write it.
E-SPEC-NAME | A run's name cannot be a file name on every system. | Letters, digits, dot, `-` and `_`, at most 64, not a Windows device.
E-SPEC-PATTERN | A text does not have the form that the key wants. | Write it as the message says.
E-SPEC-PROFILE | There is no such profile, or a profile changes what it may not. | Mend `--profile`, or the profile.
E-SPEC-RANGE | A number is out of range or not finite. | Choose one inside the range.
E-SPEC-READ | A spec cannot be read, or is no file. | Look at the path and its rights.
E-SPEC-SECRET | A spec or the command line holds a token, a password or a key. | Take it out, and replace it if others saw it.
E-SPEC-SET | A `--set` cannot be read, or sets what it may not. | `--set KEY=VALUE`; lists are set whole.
E-SPEC-SIZE | A spec is larger than 1 MiB, or has more than 2,000 keys or 20,000 values in lists. | A spec holds choices, not data.
E-SPEC-SYNTAX | A spec is not TOML. | Mend the place that is named; what follows cannot be known before.
E-SPEC-TYPE | A value has the wrong type; nothing is converted silently. | Write the type that is asked for.
E-SPEC-UNKNOWN | There is no such key. | Look at the suggestion.
E-SPEC-VERSION | The number of the spec's format is missing, newer or older. | `loraspec = 1`, upgrade loraspec, or `loraspec migrate`.
E-ST-COUNT | A weight file says to hold more tensors than any model has. | Do not use it.
E-ST-DTYPE | A weight file holds numbers of a type that is not used here. | Convert it elsewhere.
E-ST-DUP | A weight file names something twice. | Do not use it.
E-ST-FORMAT | A weight file is no safetensors file; pickles are never loaded. | Convert it elsewhere.
E-ST-HEADER | A weight file's header is broken. | Get it again.
E-ST-LAYOUT | A weight file's tensors overlap, leave holes, or do not fit. | Get it again.
E-ST-META | A weight file's header text is too large or no text. | Do not use it.
E-ST-NAME | A weight file names tensors in a way that no model does. | Do not use it.
E-ST-NONFINITE | A weight file holds numbers that are not finite. | Get it again, or use another base.
E-ST-SIZE | A weight file is longer or shorter than its header says. | Get it again: the download was cut short.
E-TOK-SIZE | A tokenizer's file is larger than any vocabulary. | Do not use it.
W-ADAPTER-ALPHA | Alpha above the rank multiplies the adapter's effect. | Half the rank is usual.
W-BUCKET | Some buckets never fill a step. | Smaller batches, or images of more similar shape.
W-CACHE-DAMAGED | Entries of the cache were damaged and made again. | Nothing; look at the disk if it happens again.
W-CACHE-FULL | The cache is full; nothing more is kept. | `loraspec cache clear`, or a larger limit.
W-CACHE-OFF | The cache cannot be used; the run goes on without. | Look at the folder's rights.
W-CAP-BOM | Captions begin with a byte order mark, which is taken off. | Save them as UTF-8 without one.
W-CAP-DRAFT | Captions will be drafted when the run starts. | Nothing, or write them yourself.
W-CAP-FOLDER | Images are captioned by the words of their folder. | Write a caption for each.
W-CAP-INVISIBLE | Captions hold characters that cannot be seen; they are trained. | Take them out.
W-CAP-KEPT | An approved caption was kept although a table has another. | `captions import --overwrite` replaces it.
W-CAP-LEDGER | The ledger of captions was edited by hand, or two were merged. | Look at the line; the last one about an image counts.
W-CAP-NORM | Captions have letters in pieces; they are put together (NFC). | Save them in form NFC.
W-CAP-ORPHAN | Captions have no image. | Remove them, or find the image.
W-CAP-PREFIX | Captions do not start as `captions.first_prefix` says. | Mend them, or the key.
W-CAP-SYNTAX | Captions hold what looks like prompt syntax; it is trained as text. | Write plain words.
W-CAP-TOKENS | Captions have more tokens than are read; the rest is cut off. | Shorten them.
W-CAP-TRIGGER | Captions lack the style tag. | Add it, or let `ensure` add it to all.
W-D-CEILING | D-Adaptation's step size is higher than useful. | What the message names, in its order.
W-D-JUMP | D-Adaptation's estimate grew very fast. | What the message names, in its order.
W-D-STUCK | D-Adaptation's estimate has not grown. | What the message names, in its order.
W-DATA-COUNT | There are fewer or more images than the recipe expects. | Add or remove images, or mend `data.expect.images`.
W-DATA-DUP | Images show the same pixels. | Keep one of each, or raise `data.repeats`.
W-DATA-HELDOUT | Held-out images leave few to train on, or near-duplicates keep some back. | Find more images, or lower `grid.heldout`.
W-DATA-NEAR | Images are nearly the same picture. | Keep one of each.
W-DATA-OUTSIDE | Images lie outside the folders that a source reads. | Put them into one, or leave it so.
W-DATA-RESOLUTION | The resolution is far from what the base was trained at. | Train at the base's own.
W-FETCH-STRANGER | Images in a fetched folder were not fetched, and are not used. | Put them into a folder source of their own.
W-GRID-JUDGED | Judged prompts are training captions, or too few are judged. | Write other prompts, or none: loraspec makes them.
W-GRID-TAG | No grid prompt holds the style tag. | Add it: the style is learnt with its tag.
W-IMG-EXIF | Images hold EXIF data that cannot be read; they are taken as they lie. | Look whether they lie on their side.
W-IMG-EXT | Images have another format than their name says. | Rename them.
W-IMG-FLAT | Images have one colour only. | Take them out.
W-IMG-FORMAT | Files are images of kinds that are not read. | Save them as PNG, JPEG or WebP.
W-IMG-GREY | Images are grey while others are in colour. | Take them out if the style has colours.
W-IMG-ICC | Images have a colour profile that is not sRGB; it is passed over. | Convert them to sRGB.
W-IMG-SMALL | Images are smaller than the recipe or the buckets want. | Find larger ones.
W-IMG-TRAILING | Images hold something behind their end. | Save them anew.
W-IMG-UPSCALE | Images are enlarged and will look soft. | Find larger ones.
W-LATENT-FLAT | Images have the same latent everywhere. | Take out what has one colour.
W-PATH-ABSOLUTE | A path of this machine stands in the spec. | A path relative to the spec works elsewhere too.
W-PLUGIN-IMPORT | An installed plugin cannot be used. | `loraspec plugins show NAME` says why.
W-RUN-DISK | The run may need more disk than is free. | Free some, or choose another place with `--output`.
W-SPEC-BOM | A spec begins with a byte order mark, which is passed over. | Save it as UTF-8 without one.
"""

CODES: Final[dict[str, tuple[str, str]]] = {
    code: (meaning, remedy) for code, meaning, remedy in (line.split(" | ") for line in _TABLE.strip().splitlines())
}


def table() -> str:
    """Return all codes as a table for the docs."""
    rows = [f"| `{code}` | {meaning} | {remedy} |" for code, (meaning, remedy) in sorted(CODES.items())]
    return "\n".join(["| code | meaning | what to do |", "|---|---|---|", *rows])
