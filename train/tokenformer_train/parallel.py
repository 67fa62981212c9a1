"""Several processes, one for each GPU (NCCL) or on CPUs (gloo), as torchrun starts them."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist


@dataclass
class Processes:
    rank: int
    world: int
    device: str

    @classmethod
    def start(cls) -> "Processes":
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = "cpu"
        if torch.cuda.is_available():
            local = int(os.environ.get("LOCAL_RANK", 0))
            torch.cuda.set_device(local)
            device = f"cuda:{local}"
        if world > 1:
            dist.init_process_group("gloo" if device == "cpu" else "nccl", timeout=timedelta(minutes=5))
        return cls(rank, world, device)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def average(self, tensor: torch.Tensor):
        if self.world > 1:
            dist.all_reduce(tensor)
            tensor.div_(self.world)

    def from_first(self, tensor: torch.Tensor):
        """Overwrites a tensor by the first process's."""
        if self.world > 1:
            dist.broadcast(tensor, 0)

    def wait(self):
        if self.world > 1:
            dist.barrier()

    def end(self):
        if self.world > 1:
            dist.destroy_process_group()
