"""What is handed to the virtual machine, and what comes back."""

from pathlib import Path

from tests.machine.job import Job


def test_a_job_reads_back(tmp_path: Path) -> None:
    job = Job(["-p", "a b"], {"NAME": "ü\n"}, "/work", "/tmp/scratch")

    job.write(tmp_path / "job.json")

    assert Job.read(tmp_path / "job.json") == job
