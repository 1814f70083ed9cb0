"""Make the lock file of Kafka's jars: `python -m deskpulse.local.lock VERSION` (of Apache Kafka, as 4.2.2)."""

import sys
import tempfile
from pathlib import Path

from deskpulse.local.jars import KAFKA_GROUP_ARTIFACT, LOCK_PATH, LockedJar, maven_url, sha256_of

_LOG4J = "org.apache.logging.log4j"


def resolve(version: str, work: Path) -> list[LockedJar]:
    """Resolve and download the runtime jars of that Kafka, sorted by coordinate; `work` is a scratch folder."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=work, remote_repos={"central": maven_url()}, timeout=60)
    kafka = context.create_dependency(f"{KAFKA_GROUP_ARTIFACT}:{version}")
    artifacts = [dependency.artifact for group in context.resolver.resolve([kafka]) for dependency in group]
    # Kafka logs to slf4j 1.7 and leaves the binding to its distribution; without one it logs nothing. Resolved apart:
    # together, the parent of the binding would dictate versions to Kafka (among them an old kafka-clients).
    log4j = next(a.version for a in artifacts if (a.groupId, a.artifactId) == (_LOG4J, "log4j-core"))
    artifacts.append(context.create_dependency(f"{_LOG4J}:log4j-slf4j-impl:{log4j}").artifact)
    jars = []
    for artifact in artifacts:
        path = Path(artifact.resolve())
        coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        jars.append(LockedJar(coordinate, sha256_of(path), path.stat().st_size))
    return sorted(jars, key=lambda jar: jar.coordinate)


def main(version: str) -> None:
    """Write the lock file for that version of Kafka."""
    with tempfile.TemporaryDirectory() as work:
        jars = resolve(version, Path(work))
    head = f"# Made by: python -m deskpulse.local.lock {version}\n# group:artifact:version SHA-256 bytes\n"
    LOCK_PATH.write_text(head + "".join(f"{jar.coordinate} {jar.sha256} {jar.size}\n" for jar in jars))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
