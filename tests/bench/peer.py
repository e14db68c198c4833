"""The benchmark's cases in PyTorch, for comparison only: nothing else here needs Python.

    peer.py list                                 cases and their variants, one a line
    peer.py run CASE VARIANT THREADS SECONDS     one JSON line
    peer.py parameters                           numbers that learn, per net

Weights are PyTorch's initial ones; norms are in eval mode and everything learns, as in a refinement.
With CROWDREC_DEVICE=cuda everything is on the GPU and the variants are a precision, a layout and how
the step runs: "tf32+channels_last+graph".
"""

import contextlib
import json
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def conv_norm(c_in, c_out, k=1, stride=1, act=None, bias=False, eps=1e-5):
    layers = [nn.Conv2d(c_in, c_out, k, stride, k // 2, bias=bias), nn.BatchNorm2d(c_out, eps)]
    return nn.Sequential(*layers, *([act] if act else []))


def conv_relu(c_in, c_out, k=1, stride=1, bias=False):
    return conv_norm(c_in, c_out, k, stride, nn.ReLU(inplace=True), bias)


DEVICE = "cuda" if os.environ.get("CROWDREC_DEVICE", "cpu").startswith("cuda") else "cpu"


# HRNet-W48, classification form: the backbone of the mesh net.


class Basic(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a = conv_relu(c, c, 3)
        self.b = conv_norm(c, c, 3)

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + x, inplace=True)


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c), nn.ReLU(inplace=True), nn.Linear(c, c), nn.Sigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class Bottleneck(nn.Module):
    def __init__(self, c_in, width, stride=1, squeeze=False):
        super().__init__()
        out = 4 * width
        self.path = nn.Sequential(
            conv_relu(c_in, width), conv_relu(width, width, 3, stride), conv_norm(width, out)
        )
        self.squeeze = SqueezeExcite(out) if squeeze else nn.Identity()
        self.skip = conv_norm(c_in, out, 1, stride) if c_in != out or stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.squeeze(self.path(x)) + self.skip(x), inplace=True)


def bottlenecks(c_in, width, count, stride=1, squeeze=False):
    first = Bottleneck(c_in, width, stride, squeeze)
    return nn.Sequential(first, *[Bottleneck(4 * width, width) for _ in range(count - 1)])


class Exchange(nn.Module):
    """One module of a stage: four basic blocks per branch, then every branch gets all others."""

    def __init__(self, widths):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*[Basic(c) for _ in range(4)]) for c in widths)
        self.fuse = nn.ModuleList(
            nn.ModuleList(self.path(widths, j, i) for j in range(len(widths)))
            for i in range(len(widths))
        )

    @staticmethod
    def path(widths, j, i):
        if j == i:
            return nn.Identity()
        if j > i:
            up = nn.Upsample(scale_factor=2 ** (j - i), mode="nearest")
            return nn.Sequential(conv_norm(widths[j], widths[i]), up)
        down = [conv_relu(widths[j], widths[j], 3, 2) for _ in range(i - j - 1)]
        return nn.Sequential(*down, conv_norm(widths[j], widths[i], 3, 2))

    def forward(self, xs):
        xs = [branch(x) for branch, x in zip(self.branches, xs)]
        outs = []
        for paths in self.fuse:
            y = paths[0](xs[0])
            for path, x in zip(paths[1:], xs[1:]):
                y = y + path(x)
            outs.append(F.relu(y))
        return outs


class HRNet(nn.Module):
    def __init__(self, c=48):
        super().__init__()
        w = [c, 2 * c, 4 * c, 8 * c]
        self.stem = nn.Sequential(conv_relu(3, 64, 3, 2), conv_relu(64, 64, 3, 2))
        self.layer1 = bottlenecks(64, 64, 4)
        self.enter = nn.ModuleList([conv_relu(256, w[0], 3)])
        self.start = nn.ModuleList(
            [conv_relu(256, w[1], 3, 2), conv_relu(w[1], w[2], 3, 2), conv_relu(w[2], w[3], 3, 2)]
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[Exchange(w[: n + 2]) for _ in range(count)])
            for n, count in enumerate([1, 4, 3])
        )
        self.increase = nn.ModuleList(Bottleneck(w[i], 32 << i) for i in range(4))
        self.down = nn.ModuleList(conv_relu(128 << i, 256 << i, 3, 2, bias=True) for i in range(3))
        self.final = conv_relu(1024, 2048, bias=True)

    def forward(self, x):
        x = self.layer1(self.stem(x))
        xs = [self.enter[0](x), self.start[0](x)]
        xs = self.stages[0](xs)
        xs = self.stages[1](xs + [self.start[1](xs[-1])])
        xs = self.stages[2](xs + [self.start[2](xs[-1])])
        y = self.increase[0](xs[0])
        for i in range(3):
            y = self.increase[i + 1](xs[i + 1]) + self.down[i](y)
        return self.final(y).mean((2, 3))


# YOLOX-x.


def conv_silu(c_in, c_out, k=1, stride=1):
    return conv_norm(c_in, c_out, k, stride, nn.SiLU(inplace=True), eps=1e-3)


class DarkBlock(nn.Module):
    def __init__(self, c, shortcut):
        super().__init__()
        self.path = nn.Sequential(conv_silu(c, c), conv_silu(c, c, 3))
        self.shortcut = shortcut

    def forward(self, x):
        return self.path(x) + x if self.shortcut else self.path(x)


class CSP(nn.Module):
    def __init__(self, c_in, c_out, count, shortcut):
        super().__init__()
        c = c_out // 2
        self.left, self.right = conv_silu(c_in, c), conv_silu(c_in, c)
        self.blocks = nn.Sequential(*[DarkBlock(c, shortcut) for _ in range(count)])
        self.join = conv_silu(2 * c, c_out)

    def forward(self, x):
        return self.join(torch.cat([self.blocks(self.left(x)), self.right(x)], 1))


class SPP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.enter = conv_silu(c, c // 2)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.leave = conv_silu(2 * c, c)

    def forward(self, x):
        x = self.enter(x)
        return self.leave(torch.cat([x] + [pool(x) for pool in self.pools], 1))


class YOLOX(nn.Module):
    def __init__(self, c=80, n=4, classes=80):
        super().__init__()
        self.stem = conv_silu(12, c, 3)
        self.dark = nn.ModuleList(
            [
                nn.Sequential(conv_silu(c, 2 * c, 3, 2), CSP(2 * c, 2 * c, n, True)),
                nn.Sequential(conv_silu(2 * c, 4 * c, 3, 2), CSP(4 * c, 4 * c, 3 * n, True)),
                nn.Sequential(conv_silu(4 * c, 8 * c, 3, 2), CSP(8 * c, 8 * c, 3 * n, True)),
                nn.Sequential(
                    conv_silu(8 * c, 16 * c, 3, 2), SPP(16 * c), CSP(16 * c, 16 * c, n, False)
                ),
            ]
        )
        self.lateral, self.reduce = conv_silu(16 * c, 8 * c), conv_silu(8 * c, 4 * c)
        self.p4, self.p3 = CSP(16 * c, 8 * c, n, False), CSP(8 * c, 4 * c, n, False)
        self.down2, self.down1 = conv_silu(4 * c, 4 * c, 3, 2), conv_silu(8 * c, 8 * c, 3, 2)
        self.n3, self.n4 = CSP(8 * c, 8 * c, n, False), CSP(16 * c, 16 * c, n, False)

        def tower():
            return nn.ModuleList(
                nn.Sequential(conv_silu(4 * c, 4 * c, 3), conv_silu(4 * c, 4 * c, 3))
                for _ in range(3)
            )

        def heads(channels):
            return nn.ModuleList(nn.Conv2d(4 * c, channels, 1) for _ in range(3))

        self.stems = nn.ModuleList(conv_silu(4 * c << i, 4 * c) for i in range(3))
        self.cls_tower, self.reg_tower = tower(), tower()
        self.cls, self.reg, self.obj = heads(classes), heads(4), heads(1)

    def forward(self, x):
        x = torch.cat(
            [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1
        )
        x3 = self.dark[1](self.dark[0](self.stem(x)))
        x4 = self.dark[2](x3)
        top = self.lateral(self.dark[3](x4))
        middle = self.reduce(self.p4(torch.cat([F.interpolate(top, scale_factor=2.0), x4], 1)))
        y3 = self.p3(torch.cat([F.interpolate(middle, scale_factor=2.0), x3], 1))
        y4 = self.n3(torch.cat([self.down2(y3), middle], 1))
        y5 = self.n4(torch.cat([self.down1(y4), top], 1))
        rows = []
        for i, y in enumerate((y3, y4, y5)):
            y = self.stems[i](y)
            reg = self.reg_tower[i](y)
            out = [self.reg[i](reg), self.obj[i](reg), self.cls[i](self.cls_tower[i](y))]
            rows.append(torch.cat(out, 1).flatten(2))
        return torch.cat(rows, 2).transpose(1, 2)


class FastPose(nn.Module):
    def __init__(self, joints=26):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        )
        self.layers = nn.Sequential(
            bottlenecks(64, 64, 3, 1, True),
            bottlenecks(256, 128, 4, 2, True),
            bottlenecks(512, 256, 6, 2, True),
            bottlenecks(1024, 512, 3, 2, True),
        )
        self.up = nn.Sequential(
            nn.PixelShuffle(2),
            conv_relu(512, 1024, 3),
            nn.PixelShuffle(2),
            conv_relu(256, 512, 3),
            nn.PixelShuffle(2),
        )
        self.out = nn.Conv2d(128, joints, 3, padding=1)

    def forward(self, x):
        return self.out(self.up(self.layers(F.max_pool2d(self.stem(x), 3, 2, 1))))


# SMPL's 24 joints and as many vertices as crowdrec's own body has; the numbers do not matter for the time.


class Body(nn.Module):
    PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]

    def __init__(self, vertices=6824, joints=24, regressed=26):
        super().__init__()
        shapes = {
            "template": (vertices, 3),
            "shapes": (vertices, 3, 10),
            "poses": (9 * (joints - 1), vertices * 3),
            "regressor": (joints, vertices),
            "halpe": (regressed, vertices),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.rand(shape) / shape[-1])
        self.register_buffer("weights", torch.softmax(torch.rand(vertices, joints), 1))
        self.register_buffer("last_row", torch.tensor([0, 0, 0, 1.0]))

    def forward(self, rotations, betas):
        n = len(betas)
        shaped = self.template + torch.einsum("nb,vab->nva", betas, self.shapes)
        joints = torch.einsum("jv,nva->nja", self.regressor, shaped)
        feature = (rotations[:, 1:] - torch.eye(3, device=betas.device)).reshape(n, -1)
        posed = shaped + (feature @ self.poses).view(n, -1, 3)
        chain = []
        for j, parent in enumerate(self.PARENTS):
            offset = joints[:, j] - (joints[:, parent] if j else 0)
            local = torch.cat([rotations[:, j], offset[..., None]], 2)
            local = torch.cat([local, self.last_row.expand(n, 1, 4)], 1)
            chain.append(chain[parent] @ local if j else local)
        world = torch.stack(chain, 1)
        moved = world[..., :3, 3] - torch.einsum("njab,njb->nja", world[..., :3, :3], joints)
        bones = torch.cat([world[..., :3, :3], moved[..., None]], 3)
        skin = (self.weights @ bones.reshape(n, len(self.PARENTS), 12)).view(n, -1, 3, 4)
        return torch.einsum("nvab,nvb->nva", skin[..., :3], posed) + skin[..., 3]


class Regressor(nn.Module):
    """CLIFF's head: three corrections of pose, shape and camera from feature, box and estimate."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2048 + 3 + 157, 1024), nn.Linear(1024, 1024)
        self.pose, self.shape, self.cam = (nn.Linear(1024, k) for k in (144, 10, 3))
        self.register_buffer("mean", torch.cat([torch.eye(3)[:, :2].flatten().repeat(24), torch.zeros(10),
                                                torch.tensor([0.9, 0, 0])]))

    def forward(self, feature, place):
        e = self.mean.expand(len(feature), -1)
        for _ in range(3):
            y = self.fc2(self.fc1(torch.cat([feature, place, e], 1)))
            e = e + torch.cat([self.pose(y), self.shape(y), self.cam(y)], 1)
        return e[:, :144], e[:, 144:154], e[:, 154:]


class Mesh(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = HRNet(), Regressor()

    def forward(self, x, place):
        return self.head(self.encoder(x), place)


def matrices(pose6d):
    """Zhou et al. 2019: two columns, made orthonormal, and their cross product."""
    a, b = pose6d.reshape(-1, 3, 2).unbind(-1)
    x = F.normalize(a, dim=-1)
    y = F.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def axis_angles(m):
    skew = torch.stack(
        [m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], -1
    )
    cosine = ((m.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = torch.acos(cosine)
    return skew * (angle / (2 * torch.sin(angle)))[:, None]


class Losses:
    """Equations 7 to 11 of the paper for people 200 pixels high in a photo of 1920x1080."""

    HEAD, ANKLES, HIP, FOCAL = 17, slice(15, 17), 19, 2203.0

    def __init__(self, n):
        def rand(*shape):
            return torch.rand(*shape, device=DEVICE) - 0.5

        self.n, self.body = n, Body().to(DEVICE)
        self.principal = torch.tensor([960.0, 540.0], device=DEVICE)
        self.center = self.principal.expand(n, 2)
        self.keypoints, self.confidence = rand(n, 26, 2), rand(n, 26, 1).abs()
        self.pose, self.betas = rand(n, 72), rand(n, 10)

    def crowd(self, joints):
        axis = joints[:, self.HEAD] - joints[:, self.ANKLES].mean(1)
        up = F.normalize(axis, dim=-1).mean(0)
        return (joints[:, self.HIP] @ up).std()

    def __call__(self, pose6d, betas, cam):
        rotations = matrices(pose6d)
        vertices = self.body(rotations.reshape(self.n, 24, 3, 3), betas)
        depth = 2 * self.FOCAL / (200 * cam[:, 0])
        offset = 2 * (self.center - self.principal) / (200 * cam[:, :1])
        trans = torch.cat([cam[:, 1:] + offset, depth[:, None]], 1)
        joints = self.body.halpe @ vertices + trans[:, None]
        pixels = self.FOCAL * joints[..., :2] / joints[..., 2:] + self.center[:, None]
        projected = (pixels - self.center[:, None]) / 200
        keypoints = (self.confidence * (projected - self.keypoints) ** 2).sum((1, 2)).mean()
        pose = ((axis_angles(rotations).reshape(self.n, 72) - self.pose) ** 2).sum(1).mean()
        shape = ((betas - self.betas) ** 2).sum(1).mean()
        return 0.001 * self.crowd(joints) + 5 * keypoints + 5 * pose + 0.001 * shape


def graphed(step):
    """The step as one CUDA graph, captured after three warm-up runs on a side stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def net_case(make, n, height, width, what, variant):
    words = variant.split("+")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "tf32" in words
    torch.backends.cudnn.benchmark = True
    model = make().eval().to(DEVICE)
    x = torch.rand(n, 3, height, width, device=DEVICE)
    if "channels_last" in words:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    run = torch.compile(model) if "compile" in words else model

    def precision():
        if "bf16" not in words:
            return contextlib.nullcontext()
        return torch.autocast(DEVICE, torch.bfloat16, cache_enabled="graph" not in words)

    def forward():
        with torch.no_grad() if "graph" in words else torch.inference_mode(), precision():
            run(x)

    def forward_backward():
        model.zero_grad(set_to_none=True)
        with precision():
            loss = run(x).float().mean()
        loss.backward()

    def update():
        forward_backward()
        optimizer.step()

    if what == "step":
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True, capturable=True)
    step = {"forward": forward, "backward": forward_backward, "step": update}[what]
    return graphed(step) if "graph" in words else step


def body_case(n, joints_backward, variant):
    body = Body().to(DEVICE)
    rotations = (torch.eye(3).repeat(n, 24, 1, 1) + 0.01 * torch.rand(n, 24, 3, 3)).to(DEVICE)
    betas = torch.rand(n, 10, device=DEVICE)

    def vertices():
        with torch.inference_mode():
            body(rotations, betas)

    def joints():
        inputs = [t.detach().requires_grad_() for t in (rotations, betas)]
        torch.autograd.grad((body.halpe @ body(*inputs)).mean(), inputs)

    return joints if joints_backward else vertices


def losses_case(n, variant):
    losses = Losses(n)
    values = [torch.rand(n, 144) * 2 - 1, torch.rand(n, 10), torch.rand(n, 3) * 0.2 + 0.8]

    def step():
        inputs = [v.to(DEVICE).requires_grad_() for v in values]
        torch.autograd.grad(losses(*inputs), inputs)

    return step


def iteration_case(n, variant):
    """Forward, losses, backward, AdamW: one iteration of a refinement."""
    model, losses = Mesh().eval().to(DEVICE), Losses(n)
    x, place = torch.rand(n, 3, 256, 192, device=DEVICE), torch.rand(n, 3, device=DEVICE)
    words = variant.split("+")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "tf32" in words
    if "channels_last" in words:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True
    run = torch.compile(model) if "compile" in words else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True,
                                  capturable=DEVICE == "cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        losses(*run(x, place)).backward()
        optimizer.step()

    return graphed(step) if "graph" in words else step


def upsample_case(n, height, width, variant):
    fine = torch.rand(n, 48, height, width, device=DEVICE)
    coarse = torch.rand(n, 48, height // 2, width // 2, device=DEVICE)
    if "channels_last" in variant:
        fine, coarse = (t.to(memory_format=torch.channels_last) for t in (fine, coarse))

    def step():
        with torch.inference_mode():
            fine + F.interpolate(coarse, scale_factor=2.0)

    return step


def adamw_case(size, variant):
    weights = nn.Parameter(torch.rand(size, device=DEVICE))
    weights.grad = torch.rand(size, device=DEVICE)
    how = {"fused": True} if variant == "fused" else {"foreach": variant == "foreach"}
    return torch.optim.AdamW([weights], lr=1e-5, **how).step


LAYOUTS = ["default", "channels_last", "default+compile", "channels_last+compile"]
if DEVICE == "cuda":
    LAYOUTS = [
        f"{precision}+{layout}{how}"
        for precision in ("tf32", "bf16")
        for layout in ("default", "channels_last")
        for how in ("", "+graph", "+compile", "+compile+graph")
    ]
ITERATION = [v for v in LAYOUTS if "bf16" not in v]
CASES = {
    "hrnet_w48 forward n=1": (LAYOUTS, net_case, HRNet, 1, 256, 192, "forward"),
    "hrnet_w48 forward n=8": (LAYOUTS, net_case, HRNet, 8, 256, 192, "forward"),
    "hrnet_w48 forward+backward n=1": (LAYOUTS, net_case, HRNet, 1, 256, 192, "backward"),
    "hrnet_w48 forward+backward n=8": (LAYOUTS, net_case, HRNet, 8, 256, 192, "backward"),
    "hrnet_w48 forward+backward n=50": (LAYOUTS, net_case, HRNet, 50, 256, 192, "backward"),
    "hrnet_w48 refinement step n=8": (LAYOUTS, net_case, HRNet, 8, 256, 192, "step"),
    "hrnet_w48 refinement step n=50": (LAYOUTS, net_case, HRNet, 50, 256, 192, "step"),
    "hrnet_w48 forward n=50": (LAYOUTS, net_case, HRNet, 50, 256, 192, "forward"),
    "yolox_x 800x1440 forward n=1": (LAYOUTS, net_case, YOLOX, 1, 800, 1440, "forward"),
    "yolox_x 640 forward n=1": (LAYOUTS, net_case, YOLOX, 1, 640, 640, "forward"),
    "fastpose forward n=8": (LAYOUTS, net_case, FastPose, 8, 256, 192, "forward"),
    "smpl joints forward+backward n=50": (["default"], body_case, 50, True),
    "smpl vertices forward n=50": (["default"], body_case, 50, False),
    "body and losses forward+backward n=50": (["default"], losses_case, 50),
    "refinement iteration n=8": (ITERATION, iteration_case, 8),
    "refinement iteration n=50": (ITERATION, iteration_case, 50),
    "upsample+add n=8": (["default", "channels_last"], upsample_case, 8, 64, 48),
    "adamw 79M": (["default", "foreach", "fused"], adamw_case, 78893405),
}


def peak_mib():
    if DEVICE == "cuda":
        return torch.cuda.max_memory_reserved() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case, variant, threads, seconds):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    before = peak_mib()
    _, make, *arguments = CASES[case]
    step = make(*arguments, variant)
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    now = time.process_time if os.environ.get("CPU_TIME") else time.perf_counter
    step()
    wait()
    times = []
    while len(times) < 3 or sum(times) < seconds:
        begin = now()
        step()
        wait()
        times.append(now() - begin)
    return {
        "case": case,
        "by": f"torch {torch.__version__} {variant}",
        "threads": threads,
        "runs": len(times),
        "seconds": statistics.median(times),
        "peak_mib": round(peak_mib(), 1),
        "program_mib": round(before, 1),
    }


def main(verb="list", *arguments):
    if verb == "list":
        for case, row in CASES.items():
            print(case, *row[0], sep="\t")
    elif verb == "run":
        case, variant, threads, seconds = arguments
        print(json.dumps(measure(case, variant, int(threads), float(seconds))))
    elif verb == "parameters":
        for make in (HRNet, YOLOX, FastPose):
            print(make.__name__, sum(p.numel() for p in make().parameters()))


if __name__ == "__main__":
    main(*sys.argv[1:])
