"""A Slurm cluster on one machine, for a test.

Each node is a set of Linux namespaces: its own host name, network address, processes and shared memory. All
of them live in namespaces of the test's own process, so nothing is seen outside, and nothing outlives it.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SKIPPED = 77  # the exit code that ctest takes for a skipped test
NAMESPACES = ["unshare", "--uts", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def enter_namespaces():
    """Starts this program again in new namespaces, where it returns; or says why not, and ends as skipped."""
    if os.environ.pop("SLURM_TEST_ENTERED", ""):
        return
    reason = why_not()
    if reason:
        print("skipped:", reason)
        sys.exit(SKIPPED)
    os.environ["SLURM_TEST_ENTERED"] = "yes"
    os.execvp(NAMESPACES[0], NAMESPACES + [sys.executable] + sys.argv)


def why_not():
    missing = [program for program in ("slurmctld", "slurmd", "srun", "ip") if not shutil.which(program)]
    if missing:
        return f"not installed: {', '.join(missing)} (on Debian: slurm-wlm, iproute2)"
    if os.geteuid() != 0:
        return "needs root, to give each node of the cluster a network and processes of its own"
    attempt = subprocess.run(NAMESPACES + ["ip", "link", "add", "cluster", "type", "bridge"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if attempt.returncode != 0:
        return f"namespaces and virtual networks are not permitted here: {attempt.stderr.strip()}"
    return None


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def output_of(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


class Cluster:
    """Nodes n1, n2, ... of two cores each; the test itself is on the machine `control`."""

    # The rest of a node starts when its network is there.
    NODE = """
        hostname "$1"
        mount -t tmpfs tmpfs /dev/shm
        echo waiting; read -r connected
        ip link set lo up
        ip address add "$2/24" dev eth0
        ip link set eth0 up
        exec slurmd -D >/dev/null 2>&1
    """

    def __init__(self, folder, nodes=2):
        """`folder`: a tmpfs for all files is mounted there, and goes when the process ends."""
        self.folder = Path(folder).absolute()
        self.addresses = {f"n{i}": f"10.0.0.{i}" for i in range(1, nodes + 1)}
        self.nodes = {}
        output_of("mount", "-t", "tmpfs", "tmpfs", str(self.folder))
        os.chdir(self.folder)
        self.make_files()
        self.make_network()
        subprocess.run(["slurmctld", "-c"], check=True, stderr=subprocess.DEVNULL)
        for name in self.addresses:
            self.power_on(name)

    def make_files(self):
        (self.folder / "state").mkdir()
        text = (Path(__file__).parent / "slurm.conf").read_text()
        text = text.replace("@FOLDER@", str(self.folder)).replace("@NODES@", ",".join(self.addresses))
        (self.folder / "slurm.conf").write_text(text)
        os.environ["SLURM_CONF"] = str(self.folder / "slurm.conf")

        hosts = self.folder / "hosts"
        names = {"localhost": "127.0.0.1", "control": "10.0.0.254"} | self.addresses
        hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()))
        output_of("mount", "--bind", str(hosts), "/etc/hosts")

    def make_network(self):
        output_of("hostname", "control")
        output_of("ip", "link", "set", "lo", "up")
        output_of("ip", "link", "add", "cluster", "type", "bridge")
        output_of("ip", "address", "add", "10.0.0.254/24", "dev", "cluster")
        output_of("ip", "link", "set", "cluster", "up")

    def power_on(self, name):
        for part in ("spool", "tmp"):  # a node without disks: they are empty again
            shutil.rmtree(self.folder / name / part, ignore_errors=True)
            (self.folder / name / part).mkdir(parents=True)
        node = subprocess.Popen(NAMESPACES + ["sh", "-c", self.NODE, "sh", name, self.addresses[name]],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        node.stdout.readline()
        output_of("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(node.pid))
        output_of("ip", "link", "set", name, "master", "cluster", "up")
        node.stdin.close()
        node.stdout.close()
        self.nodes[name] = node
        wait_until(lambda: "idle" in output_of("sinfo", "-h", "-n", name, "-o", "%T"), f"{name} is idle")

    def power_off(self, name):
        """All of the node's processes are gone at once, and its network with them."""
        node = self.nodes.pop(name)
        node.kill()
        node.wait()

    def stop(self):
        for name in list(self.nodes):
            self.power_off(name)

    def submit(self, *words, **settings):
        """Submits a job with `settings` in the environment; returns its id."""
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        done = subprocess.run(["sbatch", "--parsable", *map(str, words)], env=environment,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"sbatch: {done.stderr}")
        return done.stdout.strip()

    def job(self, job):
        """What Slurm says of the job, or of each task of an array: {"JobState": ..., ...}."""
        lines = output_of("scontrol", "--oneliner", "show", "job", job).splitlines()
        found = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return found[0] if len(found) == 1 else found

    def wait(self, job, seconds=60):
        """Waits for the end of the job, and returns what Slurm says of it."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        wait_until(lambda: self.job(job)["JobState"] in ended, f"the end of job {job}", seconds)
        return self.job(job)

    def print_logs(self):
        for log in sorted([*self.folder.glob("**/*.log"), *self.folder.glob("*.out")]):
            print(f"== {log.relative_to(self.folder)}")
            print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-60:]))
