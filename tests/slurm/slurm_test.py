"""The job scripts of slurm/, submitted to a cluster of two nodes.

    slurm_test.py BIN CHECKPOINTS [SlurmTest.test_...]

BIN has the programs, CHECKPOINTS the checkpoints that tests run on. While it runs, the folder that it was
started in looks empty to it, and gets its files.
"""

import json
import os
import subprocess
import sys
import unittest
from datetime import datetime
from pathlib import Path

from cluster import Cluster, enter_namespaces, output_of, wait_until

SOURCE = Path(__file__).resolve().parents[2]
SCRIPTS = SOURCE / "slurm"
BIN, CHECKPOINTS = (Path(folder).resolve() for folder in sys.argv[1:3])
MODEL = CHECKPOINTS / "v3"
OPTIONS = ["--max-new-tokens", "16", "--threads", "1"]


def prompts(count):
    texts = [f"Scene {i}." + " Speak, my lord." * (i % 7) for i in range(count)]
    return [json.dumps({"prompt": text, "seed": i}) for i, text in enumerate(texts)]


class SlurmTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(".")
        self.addCleanup(self.cluster.stop)
        self.folder = self.cluster.folder
        self.output = self.folder / "out.jsonl"
        self.write_prompts("in.jsonl", prompts(40))
        self.settings = {"SLUICE_BIN": BIN, "MODEL": MODEL, "OUTPUT": self.output,
                         "PROMPTS": self.folder / "in.jsonl"}

    def run(self, result=None):
        super().run(result)
        if not result.wasSuccessful() and hasattr(self, "cluster"):
            self.cluster.print_logs()

    def write_prompts(self, name, lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def submit(self, *slurm_options, script="generate.sbatch", options=OPTIONS, **settings):
        return self.cluster.submit(*slurm_options, SCRIPTS / script, *options, **self.settings | settings)

    def undisturbed(self):
        """The lines of a run without Slurm."""
        words = [BIN / "sluice-generate", "--model", MODEL, "--prompts", self.settings["PROMPTS"], "--output",
                 "plain.jsonl", "--overwrite", *OPTIONS]
        ended = subprocess.run(words, stderr=subprocess.PIPE, text=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return sorted((self.folder / "plain.jsonl").read_text().splitlines())

    def expect_whole(self):
        self.assertEqual(sorted(self.output.read_text().splitlines()), self.undisturbed())

    def expect_completed(self, job, starts=1, seconds=60):
        ended = self.cluster.wait(job, seconds)
        self.assertEqual((ended["JobState"], ended["ExitCode"]), ("COMPLETED", "0:0"))
        self.assertEqual(int(ended["Restarts"]), starts - 1)
        self.expect_whole()

    def stand_in(self, name, line):
        """A program of one line; returns its folder."""
        program = self.folder / "stand-ins" / name
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        return program.parent

    def log(self):
        return (self.folder / "out.jsonl.log").read_text()

    def catch_in_the_middle(self, *slurm_options, **settings):
        """Submits a run that is sure to be running still: some prompts came through a pipe, and no more do.
        When it is started again, it finds all of them in a file."""
        pipe, whole = self.folder / "in.jsonl", self.folder / "whole.jsonl"
        pipe.rename(whole)
        os.mkfifo(pipe)
        writer = open(pipe, "r+b", buffering=0)  # both ways: opening waits for nobody
        self.addCleanup(writer.close)            # and until then the input has no end
        writer.write(b"".join(whole.read_bytes().splitlines(keepends=True)[:10]))
        job = self.submit(*slurm_options, **settings)
        wait_until(lambda: self.output.exists() and self.output.stat().st_size > 0, "the first completions")
        whole.rename(pipe)
        return job

    def test_two_nodes_by_srun(self):
        job = self.submit("--nodes=2", "--ntasks-per-node=2")
        self.expect_completed(job)
        self.assertIn("start 1, nodes n[1-2], ranks 4:", self.log())
        self.assertIn(f"the log is {self.output}.log", (self.folder / f"slurm-{job}.out").read_text())

    def test_two_nodes_by_mpirun(self):
        self.expect_completed(self.submit("--nodes=2", LAUNCHER="mpirun"))
        self.assertIn("start 1, nodes n[1-2], ranks 2:", self.log())

    def test_exit_code_is_that_of_the_program(self):
        self.write_prompts("in.jsonl", ["no json"])
        ended = self.cluster.wait(self.submit())
        self.assertEqual((ended["JobState"], ended["ExitCode"]), ("FAILED", "5:0"))
        ended = self.cluster.wait(self.submit(MODEL=self.folder / "nothing"))
        self.assertEqual((ended["JobState"], ended["ExitCode"]), ("FAILED", "3:0"))

    def test_what_is_missing_is_named(self):
        job = self.submit(MODEL="")
        self.assertEqual(self.cluster.wait(job)["JobState"], "FAILED")
        self.assertIn("MODEL: is not set", (self.folder / f"slurm-{job}.out").read_text())

    def test_ranks_that_srun_did_not_start(self):
        path = self.stand_in("srun", "exit 0")
        ended = self.cluster.wait(self.submit(PATH=f"{path}:{os.environ['PATH']}"))
        self.assertEqual((ended["JobState"], ended["ExitCode"]), ("FAILED", "1:0"))
        self.assertIn("srun ended with exit code 0, but the program did not", self.log())

    def test_program_knows_the_end_time(self):
        programs = self.stand_in("sluice-generate", "echo ends at $SLURM_JOB_END_TIME")
        ended = self.cluster.wait(self.submit("--time=3", SLUICE_BIN=programs))
        start = int(datetime.fromisoformat(ended["StartTime"]).timestamp())
        self.assertIn(f"ends at {start + 180}\n", self.log())

    def test_time_limit(self):
        # Slurm looks every 30 s who is to be warned, and warns here as soon as it does.
        job = self.catch_in_the_middle("--time=2", "--signal=B:USR1@120")
        self.expect_completed(job, starts=2)
        self.assertIn("the time is nearly up", self.log())
        self.assertIn("exit code 75", self.log())

    def test_stops_by_itself_in_time(self):
        options = [*OPTIONS, "--stop-margin", "110s"]
        job = self.catch_in_the_middle("--time=2", "--signal=B:USR1@10", options=options)
        self.expect_completed(job, starts=2)
        self.assertIn("the Slurm job ends in", self.log())

    def test_stop_file(self):
        stop = self.folder / "stop"
        stop.touch()
        programs = self.stand_in("sluice-generate", "exit 75")
        ended = self.cluster.wait(self.submit(options=["--stop-file", stop], SLUICE_BIN=programs))
        self.assertEqual((ended["JobState"], ended["ExitCode"], ended["Restarts"]), ("FAILED", "75:0", "0"))
        self.assertIn(f"not requeued, because {stop} is there", self.log())

    def test_warning_by_mpirun(self):
        job = self.catch_in_the_middle("--nodes=2", LAUNCHER="mpirun")
        output_of("scancel", "--batch", "--signal=USR1", job)
        self.expect_completed(job, starts=2)
        self.assertIn("exit code 75", self.log())

    def test_preemption(self):
        """Slurm's way to take the nodes of a job, and to start it again."""
        job = self.catch_in_the_middle("--nodes=2")
        output_of("scontrol", "requeue", job)
        self.expect_completed(job, starts=2)
        self.assertIn("exit code 75", self.log())

    def test_cancelled_job_resumes(self):
        job = self.catch_in_the_middle("--nodes=2")
        output_of("scancel", job)
        ended = self.cluster.wait(job)
        self.assertEqual((ended["JobState"], ended["Restarts"]), ("CANCELLED", "0"))
        wait_until(lambda: "ended with exit code 75" in self.log(), "the ranks stopped by themselves")
        self.assertNotIn("requeued", self.log())
        self.expect_completed(self.submit())

    def lose(self, node):
        job = self.catch_in_the_middle("--nodes=2")
        self.cluster.power_off(node)
        wait_until(lambda: self.cluster.job(job)["Restarts"] == "1", "the job is back in the queue")
        self.cluster.power_on(node)
        self.expect_completed(job, starts=2)

    def test_lost_node_of_the_script(self):
        self.lose("n1")

    def test_lost_other_node(self):
        self.lose("n2")

    def test_array(self):
        array = self.submit("--array=1-3", script="generate-array.sbatch")
        merge = self.submit(f"--dependency=afterany:{array}", script="merge.sbatch", options=[], PARTS=3)
        self.expect_completed(merge)
        for task in self.cluster.job(array):
            self.assertEqual(task["JobState"], "COMPLETED")

    def test_shard(self):
        made = self.folder / "made"
        job = self.submit("--mem=1G", "--cpus-per-task=1", script="shard.sbatch", options=["--slices", "4"],
                          INPUT=SOURCE / "tests/data/models/deepseek-v3-tiny", OUTPUT=made)
        self.assertEqual(self.cluster.wait(job)["JobState"], "COMPLETED")
        self.expect_completed(self.submit("--nodes=2", MODEL=made))


if __name__ == "__main__":
    enter_namespaces()
    # Nodes share cores: who waits gives way.
    os.environ |= {"OMPI_MCA_mpi_yield_when_idle": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
