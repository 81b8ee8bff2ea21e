"""A SLURM of two nodes on this machine, started and stopped by a test."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from freegaze.jobs.records import JobRecord

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
MISSING = [p for p in PROGRAMS if shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin") is None]
REASON = f"no SLURM on this machine: {', '.join(MISSING)} missing" if MISSING else ""
if not MISSING and os.name == "posix" and os.geteuid() != 0:
    REASON = "only root starts a SLURM of its own"

CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=2
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MinJobAge=86400
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=6
InactiveLimit=0
KillWait=2
NodeName=n1 NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Cluster:
    """A running SLURM.

    Args:
        folder: Its configuration, state and logs.
    """

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its commands need in the environment."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _path()}

    def start(self, name: str, *words: str) -> None:
        """Start a daemon."""
        log = (self.folder / f"{name}.out").open("ab")
        environment = {**os.environ, **self.environment}
        self.daemons[name] = subprocess.Popen(
            words, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        log.close()

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self.start(name, "slurmd", "-D", "-N", name, "-f", str(self.folder / "slurm.conf"))

    def kill(self, name: str) -> None:
        """Kill a daemon as a machine that breaks down does."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def lose(self, name: str) -> None:
        """Kill the daemon of a node and all that it has started."""
        self.kill(name)
        for process in _left(self, f"SLURMD_NODENAME={name}"):
            with suppress(OSError):  # ended meanwhile
                parent = int(
                    Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
                )
                if Path(f"/proc/{parent}/comm").read_text().strip() == "slurmstepd":
                    os.kill(parent, signal.SIGKILL)
                os.kill(process, signal.SIGKILL)

    def call(self, *words: str) -> str:
        """Run a command of SLURM and return what it prints."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait_until_idle(self, seconds: float = 30) -> None:
        """Wait until both nodes take work."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = subprocess.run(
                ["sinfo", "-h", "-o", "%T %D"],
                capture_output=True,
                text=True,
                env={**os.environ, **self.environment},
                check=False,
            )
            if done.stdout.split() == ["idle", "2"]:
                return
            time.sleep(0.2)
        logs = "".join(p.read_text(errors="replace")[-500:] for p in self.folder.glob("*.log"))
        raise AssertionError(f"SLURM did not start: {done.stdout}{done.stderr}{logs}")


@contextmanager
def slurm_cluster() -> Iterator[Cluster]:
    """Start a SLURM, and end all of its processes."""
    with TemporaryDirectory(prefix="slurm-") as name:  # a short path, as sockets need one
        cluster = Cluster(Path(name))
        cluster.folder.chmod(0o755)
        (cluster.folder / "state").mkdir()
        key = cluster.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        text = CONF.format(folder=cluster.folder, host=_host(), ports=_free_ports(3))
        (cluster.folder / "slurm.conf").write_text(text)
        try:
            munge = [f"--socket={cluster.folder}/munge.sock", f"--key-file={key}", "--force"]
            files = ("seed-file", "pid-file", "log-file")
            munge += [f"--{what}={cluster.folder}/munge.{what}" for what in files]
            cluster.start("munged", "munged", "--foreground", "--num-threads=2", *munge)
            while not (cluster.folder / "munge.sock").exists():
                assert cluster.daemons["munged"].poll() is None, "munged ended"
                time.sleep(0.05)
            conf = str(cluster.folder / "slurm.conf")
            cluster.start("slurmctld", "slurmctld", "-D", "-f", conf)
            cluster.start_node("n1")
            cluster.start_node("n2")
            cluster.wait_until_idle()
            yield cluster
        finally:
            _end(cluster)


def _end(cluster: Cluster) -> None:
    environment = {**os.environ, **cluster.environment}
    subprocess.run(["scancel", "--full", "--signal=KILL", "--state=running"], env=environment)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for daemon in cluster.daemons.values():
            if daemon.poll() is None:
                daemon.send_signal(signal_number)
        end = time.monotonic() + 5
        for daemon in cluster.daemons.values():
            try:
                daemon.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
    for process in _left(cluster):  # steps, tasks, and commands that wait for the queue
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait_for(is_so: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Wait until something is so.

    Args:
        is_so: Returns whether it is.
        what: What is waited for, for the message.
        seconds: Longest time to wait.
    """
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s"
        time.sleep(0.05)


def process_of(record: JobRecord) -> int:
    """Return the number of the process that a record is of."""
    found = re.match(r"process (\d+) on", record.process)
    assert found is not None
    return int(found[1])


def _left(cluster: Cluster, *more: str) -> list[int]:
    """Processes that were started with this cluster's configuration and still run.

    Args:
        cluster: The cluster.
        more: What their environment has beside, such as ``NAME=VALUE``.
    """
    marks = {text.encode() for text in (f"SLURM_CONF={cluster.folder}/slurm.conf", *more)}
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # ended, or of another user
            if marks <= set(path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return [process for process in found if process != os.getpid()]


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin"


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports(n: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(n)]
    try:
        for each in with_ports:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_ports]
    finally:
        for each in with_ports:
            each.close()
