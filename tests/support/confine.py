"""A launcher: python confine.py RULES COMMAND..., as another user, with filters of system calls (libseccomp)."""

import ctypes
import errno
import json
import os
import sys
from typing import Any

NOBODY = 65534
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EQ, _GE, _MASKED_EQ = 4, 5, 7  # how libseccomp compares


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Filter:
    """A filter of system calls (libseccomp)."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action: int, name: str, *comparison: int) -> None:
        """An action for a system call, if an argument compares so: its number, operator, and one or two values."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # another architecture's
        compared = (_Comparison * 1)(_Comparison(*comparison)) if comparison else None
        count = ctypes.c_uint(1 if comparison else 0)
        done = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), ctypes.c_int(number), count, compared
        )
        assert done == 0, (name, done)

    def load(self) -> None:
        assert self._library.seccomp_load(self._context) == 0, "the kernel takes no filter"


def _confine(rules: dict[str, Any]) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        library.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    assert library.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    denied = _Filter(_ALLOW)
    for family in range(64):
        if family not in rules["families"]:
            denied.rule(_ERRNO | errno.EAFNOSUPPORT, "socket", 0, _EQ, family, 0)
    denied.rule(_ERRNO | errno.EAFNOSUPPORT, "socket", 0, _GE, 64, 0)
    if rules["no_executable_memory"]:
        for name, argument, mask in (
            ("mmap", 2, 6),
            ("mprotect", 2, 4),
            ("pkey_mprotect", 2, 4),
            ("shmat", 2, 0o100000),
        ):
            denied.rule(_ERRNO | errno.EPERM, name, argument, _MASKED_EQ, mask, mask)
    if rules["no_namespaces"]:
        for name in ("unshare", "setns"):
            denied.rule(_ERRNO | errno.EPERM, name)
    denied.load()
    allowed = _Filter(_ERRNO | errno.EPERM)
    for name in rules["allowed"]:
        allowed.rule(_ALLOW, name)
    allowed.load()


if __name__ == "__main__":
    os.umask(0o027)
    _confine(json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
