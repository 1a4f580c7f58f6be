# SPDX-License-Identifier: Apache-2.0
"""Builds applications from the XML of README.md and runs them in every way in which the README says they run.

test.py REPOSITORY: the folder that `mvn deploy` put Nearfield's artifacts into. JAVA_HOME names the JDK. Everything lies in
build/consumer of the checkout, with a local Maven repository that outlives a run, so that the others' artifacts come once. The
last line is `N passed, N failed[, N skipped]`.
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build/consumer"
JAVA_HOME = pathlib.Path(os.environ["JAVA_HOME"])
CLASSIFIER = "linux-" + {"x86_64": "x86_64", "aarch64": "aarch_64"}[platform.machine()]
ANSWER = "found=true backend=CPU"
CPU = "-Dnearfield.acceleration=disabled"  # a machine with a GPU would use it


class Failure(Exception):
    pass


def execute(command, **more):
    """Runs a command; answers its stdout and stderr together. A status other than 0 is a Failure."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False, **more)  # fmt: skip
    if done.returncode != 0:
        raise Failure(f"status {done.returncode} of {command}\n{done.stdout}")
    return done.stdout


def readme_xml(marker):
    found = re.search(rf"<!-- {marker}:.*?```xml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise Failure(f"README.md has no XML behind <!-- {marker}: -->")
    return found.group(1)


def build(name, repository):
    """Copies the project `name`, puts the README's XML in and packages it."""
    project = WORK / name
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(HERE / name, project)
    pom = project / "pom.xml"
    text = pom.read_text(encoding="utf-8")
    text = text.replace("<!-- README -->", readme_xml("consumer").replace("linux-x86_64", CLASSIFIER))
    text = text.replace("<!-- README jar -->", readme_xml("consumer jar"))
    pom.write_text(text, encoding="utf-8")
    local = WORK / "m2"
    shutil.rmtree(local / "dev/nearfield", ignore_errors=True)
    execute(
        ["mvn", "-B", "-q", f"-Dmaven.repo.local={local}", f"-Dnearfield.repository={repository.as_uri()}", "package"],
        cwd=project)  # fmt: skip
    return project / "target"


class Run:
    """One application in one way, with a folder of its own for what it unpacks."""

    def __init__(self, target):
        self.target = target
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=WORK))

    def command(self, *arguments):
        return [JAVA_HOME / "bin/java", f"-Dnearfield.native.workdir={self.folder}", *arguments]

    def class_path(self):
        return os.pathsep.join(str(jar) for jar in [self.target / "plain-1.jar", *sorted((self.target / "lib").glob("*.jar"))])

    def module_path(self):
        return os.pathsep.join([str(self.target / "plain-1.jar"), str(self.target / "lib")])


def expect(output, *answers):
    """These answers, and no warning: neither of the JVM about native access nor of a fallback."""
    found = [line for line in output.splitlines() if line.startswith("found=")]
    if found != list(answers) or "WARN" in output:
        raise Failure(f"expected {answers} and no warning, got:\n{output}")


def on_class_path(plain):
    run = Run(plain)
    app = ["--enable-native-access=ALL-UNNAMED", "-cp", run.class_path(), "org.example.app.App"]
    expect(execute(run.command(CPU, *app)), ANSWER)
    report = execute(run.command(*app[:-1], "dev.nearfield.Main"))
    if f"unpacked to {run.folder}/" not in report:
        raise Failure(f"the library did not come from the jar:\n{report}")


def on_module_path(plain):
    run = Run(plain)
    module = ["-p", run.module_path(), "-m", "org.example.app/org.example.app.App"]
    expect(execute(run.command(CPU, "--enable-native-access=dev.nearfield", *module)), ANSWER)
    # Resolved too, when somebody asks for it: then the class loaders see the jar.
    resolved = "--add-modules=ALL-MODULE-PATH"
    expect(execute(run.command(CPU, "--enable-native-access=dev.nearfield", resolved, *module)), ANSWER)


def in_two_class_loaders(plain):
    run = Run(plain)
    output = execute(
        run.command(CPU, "--enable-native-access=ALL-UNNAMED", "-cp", run.class_path(), "org.example.app.TwoLoaders"))  # fmt: skip
    expect(output, ANSWER, ANSWER)


def in_two_jvms_at_once(plain):
    run = Run(plain)
    command = run.command(CPU, "--enable-native-access=ALL-UNNAMED", "-cp", run.class_path(), "org.example.app.App")
    both = [subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    for process in both:
        output, _ = process.communicate(timeout=120)
        expect(output, ANSWER)
    left = [file.name for file in run.folder.rglob("*") if file.is_file()]
    if left != ["libnearfield_cpu.so"]:
        raise Failure(f"the two left {left} behind")


def with_webgpu(plain):
    """By name, so that a software adapter does."""
    run = Run(plain)
    app = ["--enable-native-access=ALL-UNNAMED", "-cp", run.class_path()]
    report = execute(run.command(*app, "dev.nearfield.Main"), env={**os.environ, "NODEVICE_SELECT": "1"})
    absent = re.search(r"wgpu +not available: (.*(?:Vulkan|no device).*)", report)
    if absent and "wgpu" not in os.environ.get("NEARFIELD_REQUIRE", ""):
        return absent.group(1)
    output = execute(run.command(*app, "org.example.app.App", "wgpu"), env={**os.environ, "NODEVICE_SELECT": "1"})
    expect(output, "found=true backend=WGPU")
    return None


def as_fat_jar(boot):
    run = Run(boot)
    expect(execute(run.command(CPU, "-jar", boot / "boot-1.jar")), ANSWER)


def one_module_needs_native_access(plain):
    tool = JAVA_HOME / "bin/jnativescan"
    if not tool.exists():
        return "jnativescan came with JDK 24"
    run = Run(plain)
    output = execute([tool, "--module-path", run.module_path(), "--add-modules", "org.example.app", "--print-native-access"])
    if output.split() != ["dev.nearfield"]:
        raise Failure(f"expected the module dev.nearfield alone, got:\n{output}")
    return None


def main():
    repository = pathlib.Path(sys.argv[1]).resolve()
    WORK.mkdir(parents=True, exist_ok=True)
    passed, failed, skipped = 0, 0, 0
    targets = {}

    def attempt(name, call, *arguments):
        nonlocal passed, failed, skipped
        try:
            reason = call(*arguments)
        except (Failure, subprocess.TimeoutExpired) as e:
            failed += 1
            print(f"FAIL {name}\n{e}", flush=True)
            return
        if reason:
            skipped += 1
            print(f"skipped {name}: {reason}", flush=True)
        else:
            passed += 1
            print(f"ok {name}", flush=True)

    def build_as(name):
        targets[name] = build(name, repository)

    for name, ways in (
        ("plain", (on_class_path, on_module_path, in_two_class_loaders, in_two_jvms_at_once, with_webgpu, one_module_needs_native_access)),
        ("boot", (as_fat_jar,)),
    ):  # fmt: skip
        attempt(f"{name}: builds from README.md", build_as, name)
        if name not in targets:
            failed += len(ways)
            continue
        for way in ways:
            attempt(f"{name}: {way.__name__.replace('_', ' ')}", way, targets[name])
    for left in WORK.glob("tmp*"):
        shutil.rmtree(left)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
