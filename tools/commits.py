"""Are the subjects of commits short enough to be read in a list?

Usage: commits.py      exit with 1 where a subject has more than 72 characters

Looks at the commits since this file was last changed, and so never at those before the rule.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_CHARACTERS = 72


def git(*arguments: str) -> list[str]:
    """The lines that git prints; none where this is not a git checkout."""
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.splitlines()


def too_long(subjects: list[str]) -> list[str]:
    """The subjects that have too many characters."""
    return [subject for subject in subjects if len(subject) > MAX_CHARACTERS]


def main() -> None:
    """Check the subjects of all commits since the rule was last changed."""
    changes = git("log", "--format=%H", "--", "tools/commits.py")
    if not changes:
        print("commits: not a git checkout, or not committed yet: nothing to check")
        return
    long = too_long(git("log", "--format=%s", f"{changes[0]}..HEAD"))
    if long:
        sys.exit(f"subjects of more than {MAX_CHARACTERS} characters:\n" + "\n".join(long))


if __name__ == "__main__":
    main()
