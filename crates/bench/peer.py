"""PyTorch's side of `bench`: reads one JSON request a line, answers with one JSON line.

    python3 peer.py THREADS

Needs torch, numpy, safetensors, and pillow for the folder of pictures. Networks and steps are those of
reference.py, translation_reference.py, srgan_reference.py, gan3d_reference.py, cgan_reference.py and
stackgan_reference.py in tests/fixtures/.
"""

import json
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "fixtures"))
import cgan_reference  # noqa: E402
import gan3d_reference  # noqa: E402
import reference  # noqa: E402
import srgan_reference  # noqa: E402
import stackgan_reference  # noqa: E402
import translation_reference  # noqa: E402

torch.set_num_threads(int(sys.argv[1]))
LAYOUTS = (torch.contiguous_format, torch.channels_last, torch.channels_last_3d)
TRANSLATIONS = ("pix2pix", "cyclegan")
LONG = 3  # a run of more seconds needs no others before it
runs = []  # one function for each memory layout
long_runs = set()  # places in `runs`


def layouts(dimensions):
    return [LAYOUTS[0], LAYOUTS[dimensions - 3]] if dimensions in (4, 5) else [LAYOUTS[0]]


def generator(request):
    config = request["config"]
    if request["word"] == "dcgan":
        sizes = (config["image_size"], config["channels"], config["latent_dim"], config["width_g"])
        network = reference.dcgan_generator(*sizes, config["upsample"])
    elif request["word"] == "gan3d":
        sizes = (config["latent_dim"], config["resolution"], config["start"], config["width_g"])
        network = gan3d_reference.generator(*sizes, config["bias"])
    elif request["word"] == "cgan":
        sizes = (config["image_size"], config["channels"], config["latent_dim"], request["classes"], config["width_g"])
        network = cgan_reference.Generator(*sizes)
    else:
        network = reference.vanilla_generator(
            config["latent_dim"],
            config["generator_hidden"],
            request["outputs"],
            config["generator_activation"],
            config["output"],
        )
    return loaded(network, request, "generator")


def discriminator(request):
    config = request["config"]
    if request["word"] == "dcgan":
        network = reference.dcgan_discriminator(config["image_size"], config["channels"], config["width_d"])
    elif request["word"] == "gan3d":
        sizes = (config["resolution"], config["start"], config["width_d"])
        network = gan3d_reference.discriminator(*sizes, config["bias"], config["first_norm"])
    elif request["word"] == "cgan":
        sizes = (config["image_size"], config["channels"], request["classes"], config["width_d"])
        network = cgan_reference.Discriminator(*sizes)
    else:
        network = reference.VanillaDiscriminator(
            request["outputs"], config["discriminator_hidden"], config["discriminator_activation"]
        )
    return loaded(network, request, "discriminator")


def loaded(network, request, name):
    """The network with the weights of the part `name`; nothing may be left over but PyTorch's count of batches."""
    missing, unexpected = network.load_state_dict(load_file(request["weights"][name]), strict=False)
    wrong = [tensor for tensor in missing if not tensor.endswith("num_batches_tracked")] + unexpected
    if wrong:
        raise ValueError(f"{name}: {wrong}")
    return network


def translator(request, name):
    """The generator or discriminator `name` of pix2pix or cyclegan. Where there is dropout it stays without masks."""
    config = request["config"]
    channels = [config["input_channels"], config["output_channels"]]
    if name.endswith("_b"):
        channels.reverse()
    if name.startswith("generator"):
        kind, size = config["net_g"].split("_")
        shape = (config["width_g"], config["norm"], config["dropout"], *channels)
        if kind == "unet":
            network = translation_reference.UnetGenerator(int(size).bit_length() - 1, *shape)
        else:
            network = translation_reference.ResnetGenerator(int(size.removesuffix("blocks")), *shape)
    else:
        # It sees pictures of the generator's output, in pix2pix beside its input.
        seen = sum(channels) if request["word"] == "pix2pix" else channels[1]
        if config["net_d"] == "pixel":
            network = translation_reference.PixelDiscriminator(seen, config["width_d"], config["norm"])
        else:
            layers = 3 if config["net_d"] == "basic" else config["layers_d"]
            network = translation_reference.NLayerDiscriminator(seen, config["width_d"], layers, config["norm"])
    for layer in network.modules():
        # As the authors have it: it spares memory, and the results are the same.
        if isinstance(layer, (torch.nn.ReLU, torch.nn.LeakyReLU)):
            layer.inplace = True
    return loaded(network, request, name)


def enlarger(request):
    config = request["config"]
    return loaded(srgan_reference.Blocks(config["blocks"], config["width_g"], config["scale"], 1), request, "generator")


def converted(value, layout):
    if isinstance(value, torch.nn.Module):
        return value.to(memory_format=layout)
    return value.contiguous(memory_format=layout) if value.dim() in (4, 5) else value


def infer(request):
    """Latent vectors to pictures, and small ones to large ones, with the running statistics; pictures to pictures with those of the picture itself."""
    if request["word"] == "upscale":
        upscale(request)
        return
    if request["word"] == "stackgan":
        infer_stackgan(request)
        return
    inputs, is_translation = load_file(request["inputs"]), request["word"] in TRANSLATIONS
    if is_translation:
        source = inputs["a"]
    elif request["word"] == "srgan":
        source = inputs["low"]
    else:
        source = inputs["latent"]
        source = spread(source, request["word"])
    told = [inputs["asked"]] if request["word"] == "cgan" else []
    for layout in layouts(4 if told else source.dim()):
        if is_translation:
            name = "generator" if request["word"] == "pix2pix" else "generator_a"
            network = translator(request, name)
        elif request["word"] == "srgan":
            network = enlarger(request)
        else:
            network = generator(request)
        network, value = converted(network.train(is_translation), layout), converted(source, layout)

        @torch.inference_mode()
        def run(network=network, value=value):
            return network(value, *told)

        runs.append(run)
    save_file({"output": runs[0]().contiguous()}, request["outputs_to"])


def spread(latent, word):
    """Latent vectors as the first convolution takes them."""
    return latent[(..., *[None] * {"dcgan": 2, "gan3d": 3}.get(word, 0))]


def train(request):
    """One step of both players, as pytorch/examples does it, with the running average of the generator."""
    if request["word"] in TRANSLATIONS:
        train_translation(request)
        return
    if request["word"] == "srgan":
        train_srgan(request)
        return
    if request["word"] == "stackgan":
        train_stackgan(request)
        return
    config, inputs = request["config"], load_file(request["inputs"])
    real, latent = inputs["real"], inputs["latent"]
    latent = spread(latent, request["word"])
    only = request.get("layout")
    for number, layout in enumerate(layouts(real.dim())):
        if only is not None and number != only:
            continue
        players = [converted(build(request), layout) for build in (generator, discriminator)]
        average = converted(generator(request), layout).requires_grad_(False)
        betas = (config["beta1"], config["beta2"])
        rates = [config.get(key) or config["lr"] for key in ("lr_g", "lr_d")]
        optimizers = [
            torch.optim.Adam(player.parameters(), lr=rate, betas=betas, fused=True)
            for player, rate in zip(players, rates)
        ]
        told = [inputs[name] for name in ("told", "asked", "wrong") if name in inputs]
        kind = ConditionalStep if told else Step
        step = kind(players, average, optimizers, config, converted(real, layout), converted(latent, layout))
        step.told = told
        runs.append(step)


def train_translation(request):
    """One step of all players, as the authors do it, but without dropout."""
    inputs, only = load_file(request["inputs"]), request.get("layout")
    for number, layout in enumerate(layouts(inputs["a"].dim())):
        if only is None or number == only:
            runs.append(TranslationStep(request, [converted(inputs[name], layout) for name in "ab"], layout))


class TranslationStep:
    def __init__(self, request, pictures, layout):
        config = request["config"]
        networks = {name: converted(translator(request, name), layout) for name in request["weights"]}
        if request["word"] == "pix2pix":
            self.players = translation_reference.Pix2pix(
                networks["generator"], networks["discriminator"], config["gan_mode"], config["lambda_l1"]
            )
            draws = []
        else:
            short = {"generator_a": "g_a", "generator_b": "g_b", "discriminator_a": "d_a", "discriminator_b": "d_b"}
            self.players = translation_reference.Cyclegan(
                {short[name]: network for name, network in networks.items()},
                config["pool_size"],
                config["lambda_cycle"],
                config["lambda_identity"],
            )
            # The pools hand on what is new.
            draws = [(False, 0), (False, 0)]
        for name in ("optimizer_g", "optimizer_d"):
            parameters = getattr(self.players, name).param_groups[0]["params"]
            betas = (config["beta1"], config["beta2"])
            setattr(self.players, name, torch.optim.Adam(parameters, lr=config["lr"], betas=betas, fused=True))
        self.arguments, self.losses = pictures + draws, request["losses"]
        self.first = None

    def __call__(self):
        losses = self.players.step(*self.arguments)
        self.first = self.first or [losses[name] for name in self.losses]


def train_srgan(request):
    """One step of the stage that the configuration asks for."""
    inputs, only = load_file(request["inputs"]), request.get("layout")
    for number, layout in enumerate(layouts(inputs["low"].dim())):
        if only is None or number == only:
            runs.append(EnlargingStep(request, [converted(inputs[name], layout) for name in ("low", "high")], layout))


class EnlargingStep:
    def __init__(self, request, pictures, layout):
        config = request["config"]
        network = converted(enlarger(request), layout)
        if config["adversarial"]:
            judge = srgan_reference.Discriminator(config["width_d"], config["crop_size"])
            judge = converted(loaded(judge, request, "discriminator"), layout)
            self.stage = srgan_reference.Gan(network, judge, None, float("inf"), config["lambda_adversarial"])
        else:
            self.stage = srgan_reference.Resnet(network)
        for name, optimizer in self.stage.optimizers.items():
            parameters = optimizer.param_groups[0]["params"]
            betas = (config["beta1"], config["beta2"])
            self.stage.optimizers[name] = torch.optim.Adam(parameters, lr=config["lr"], betas=betas, fused=True)
        self.pictures, self.losses, self.first = pictures, request["losses"], None

    def __call__(self):
        losses = self.stage.step(*self.pictures, 0)
        self.first = self.first or [losses[name] for name in self.losses]


def stackgan_sizes(request):
    keys = {"gf": "width_g", "df": "width_d", "ef": "condition_dim", "z": "latent_dim", "t": "text_dim"}
    return {short: request["config"][key] for short, key in (keys | {"r": "residual_blocks"}).items()}


def stackgan_maker(request):
    kind = stackgan_reference.Stage1G if request["stage"] == 1 else stackgan_reference.Stage2G
    return loaded(kind(request["config"]["variant"], **stackgan_sizes(request)), request, "generator")


def stackgan_draws(inputs):
    return [inputs[name] for name in ("text", "latent", "eps1", "eps") if name in inputs]


def infer_stackgan(request):
    """Captions and noise to pictures, with the running statistics."""
    draws = stackgan_draws(load_file(request["inputs"]))
    for layout in layouts(4):
        network = converted(stackgan_maker(request).eval(), layout)

        @torch.inference_mode()
        def run(network=network):
            return network(*draws)[0]

        runs.append(run)
    save_file({"output": runs[0]().contiguous()}, request["outputs_to"])


def train_stackgan(request):
    """One step of the stage that the configuration asks for."""
    only = request.get("layout")
    for number, layout in enumerate(layouts(4)):
        if only is None or number == only:
            runs.append(StackganStep(request, layout))


class StackganStep:
    def __init__(self, request, layout):
        config, inputs = request["config"], load_file(request["inputs"])
        judge = stackgan_reference.Discriminator(config["variant"], request["stage"], **stackgan_sizes(request))
        judge = loaded(judge, request, "discriminator")
        self.make, self.judge = converted(stackgan_maker(request), layout), converted(judge, layout)
        learning = [self.make.own() if request["stage"] == 2 else list(self.make.parameters()), judge.parameters()]
        betas = (config["beta1"], config["beta2"])
        self.optimizers = [torch.optim.Adam(some, lr=config["lr"], betas=betas, fused=True) for some in learning]
        self.average, self.decay = [value.detach().clone() for value in self.make.parameters()], config["ema_decay"]
        self.real, self.wrong = (converted(inputs[name], layout) for name in ("real", "wrong"))
        self.draws, self.config, self.first = stackgan_draws(inputs), config, None

    def __call__(self):
        variant, smoothing = self.config["variant"], self.config["label_smoothing"]
        fake, mu, spread = self.make(*self.draws)[:3]
        told = self.draws[0] if variant == "tf" else mu.detach()
        wrong = (variant, self.judge, self.real, fake.detach(), self.wrong, told, smoothing)
        loss_d = stackgan_reference.discriminator_losses(*wrong)["loss_d"]
        self.optimizers[1].zero_grad()
        loss_d.backward()
        self.optimizers[1].step()
        self.judge.requires_grad_(False)
        losses = stackgan_reference.generator_losses(variant, self.judge, fake, told, mu, spread)
        convinced = losses["loss_g"] - 2 * losses["loss_kl"]
        self.optimizers[0].zero_grad()
        (convinced + self.config["kl_weight"] * losses["loss_kl"]).backward()
        self.optimizers[0].step()
        self.judge.requires_grad_(True)
        if self.decay > 0:
            with torch.no_grad():
                torch._foreach_lerp_(self.average, list(self.make.parameters()), 1 - self.decay)
        self.first = self.first or [loss_d.item(), convinced.item()]


def upscale(request):
    """A folder of pictures to a folder of larger ones, as a script would do it."""
    import numpy
    from PIL import Image

    folder = pathlib.Path(request["weights"]["generator"]).parent
    (folder / "torch").mkdir(exist_ok=True)
    for layout in layouts(4):
        network = converted(enlarger(request).eval(), layout)

        @torch.inference_mode()
        def run(network=network, layout=layout):
            for path in sorted((folder / "in").iterdir()):
                low = torch.from_numpy(numpy.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255
                made = network(converted(low, layout))[0].clamp(0, 1).mul(255).round().byte()
                Image.fromarray(made.permute(1, 2, 0).contiguous().numpy()).save(folder / "torch" / path.name)

        runs.append(run)
    runs[0]()
    made = numpy.array(Image.open(folder / "torch" / "0.png"))
    save_file({"output": torch.from_numpy(made).permute(2, 0, 1).float().contiguous()}, request["outputs_to"])


class Step:
    def __init__(self, players, average, optimizers, config, real, latent):
        self.players, self.average, self.optimizers = players, average, optimizers
        self.config, self.real, self.latent = config, real, latent
        self.first = None

    def __call__(self):
        make, judge = self.players
        move_make, move_judge = self.optimizers
        fake = make(self.latent)
        move_judge.zero_grad()
        on_real, on_fake = judge(self.real), judge(fake.detach())
        scalars = [torch.sigmoid(on_real).mean().detach(), torch.sigmoid(on_fake).mean().detach()]
        loss = reference.cross_entropy(on_real, self.config["label_smoothing"])
        loss = loss + reference.cross_entropy(on_fake, 0.0)
        loss.backward()
        move_judge.step()
        judge.requires_grad_(False)
        move_make.zero_grad()
        loss_g = reference.generator_loss(self.config.get("loss", "non-saturating"), judge(fake))
        loss_g.backward()
        move_make.step()
        judge.requires_grad_(True)
        decay = self.config["ema_decay"]
        if decay > 0:
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(make.parameters()), 1 - decay)
        result = [loss.detach().item(), loss_g.detach().item()]
        self.first = self.first or result
        return scalars


class ConditionalStep(Step):
    """As Step, with conditions, and reals with wrong ones as fakes."""

    def __call__(self):
        make, judge = self.players
        move_make, move_judge = self.optimizers
        told, asked, wrong = self.told
        fake = make(self.latent, asked)
        move_judge.zero_grad()
        on_real, on_fake, on_wrong = judge(self.real, told), judge(fake.detach(), asked), judge(self.real, wrong)
        against = [reference.cross_entropy(logits, 0.0) for logits in (on_fake, on_wrong)]
        share = self.config["mismatch"]
        loss = reference.cross_entropy(on_real, self.config["label_smoothing"])
        loss = loss + (against[0] + share * against[1]) / (1 + share)
        loss.backward()
        move_judge.step()
        judge.requires_grad_(False)
        move_make.zero_grad()
        loss_g = reference.generator_loss("non-saturating", judge(fake, asked))
        loss_g.backward()
        move_make.step()
        judge.requires_grad_(True)
        with torch.no_grad():
            share = 1 - self.config["ema_decay"]
            torch._foreach_lerp_(list(self.average.parameters()), list(make.parameters()), share)
        self.first = self.first or [loss.detach().item(), loss_g.detach().item()]
        return [torch.sigmoid(logits).mean().detach() for logits in (on_real, on_fake, on_wrong)]


def operator(request):
    """One convolution's forward pass or gradient."""
    spatial = len(request["kernel"])
    backward = torch.ops.aten.convolution_backward
    groups, transposed = request["groups"], request["transposed"]
    sides = request["padding"]
    for layout in layouts(spatial + 2):
        value = converted(torch.randn(request["input"]), layout)
        weight = converted(torch.randn(request["weight"]), layout)
        even = [before for before, _ in sides]
        padded, cut = value, None
        if any(before != after for before, after in sides):
            # PyTorch pads both sides alike: the rest as a pass of its own, as its users write it.
            cut = [side for pair in reversed(sides) for side in pair]
            padded, even = F.pad(value, cut), [0] * spatial
        window = (request["stride"], even, request["dilation"], transposed, request["output_padding"], groups)
        output = torch.ops.aten.convolution(padded, weight, None, *window)
        gradient = converted(torch.randn_like(output), layout)
        mask = {"input": [True, False, False], "weight": [False, True, False]}.get(request["pass"])

        @torch.inference_mode()
        def run(value=value, padded=padded, weight=weight, gradient=gradient, cut=cut, window=window, mask=mask):
            if mask is None:
                value = F.pad(value, cut) if cut else value
                return torch.ops.aten.convolution(value, weight, None, *window)
            if cut and mask[1]:
                padded = F.pad(value, cut)
            result = backward(gradient, padded, weight, None, *window, mask)
            return F.pad(result[0], [-side for side in cut]) if cut and mask[0] else result

        runs.append(run)


def timed(request):
    seconds = []
    for place, run in enumerate(runs):
        times = []
        # Not counted: until the threads spin, each on its core, and the caches hold no more of the other side.
        begin = time.perf_counter()
        while place not in long_runs and time.perf_counter() - begin < 0.02:
            run()
        for _ in range(request["count"]):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        if times and times[-1] > LONG:
            long_runs.add(place)
        seconds.append(times)
    return {"seconds": seconds}


def answer(request):
    kind = request["do"]
    if kind == "hello":
        return {"torch": torch.__version__}
    if kind == "time":
        return timed(request)
    if kind == "peak":
        with open("/proc/self/status") as file:
            peak = next(line for line in file if line.startswith("VmHWM"))
        return {"bytes": int(peak.split()[1]) * 1024}
    if kind == "losses":
        return {"losses": runs[0].first}
    runs.clear()
    long_runs.clear()
    {"infer": infer, "train": train, "operator": operator}[kind](request)
    return {}


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as error:  # noqa: BLE001: the other side shows it and stops
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)
