"""reStructuredText in docstrings, such as :class:`View`, becomes what Markdown has for it."""

import re
from typing import Any

import griffe

_LITERAL = re.compile(r"::$", re.MULTILINE)
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")


class DocstringRoles(griffe.Extension):
    """Rewrites the docstrings of a package once it is loaded and names can be resolved."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite every docstring of the package."""
        self._rewrite(pkg)

    def _rewrite(self, obj: griffe.Object) -> None:
        if obj.docstring is not None:
            text = _LITERAL.sub(":", obj.docstring.value)
            obj.docstring.value = _ROLE.sub(lambda role: _link(obj, role), text)
        for member in obj.members.values():
            if not member.is_alias:
                self._rewrite(member)


def _link(obj: griffe.Object, role: re.Match[str]) -> str:
    """A reference that stays plain text where the site does not document its target."""
    shortened, name = role.groups()
    try:
        target = obj.resolve(name)
    except griffe.NameResolutionError:
        target = name
    text = name.rpartition(".")[2] if shortened else name
    return f'<autoref identifier="{target}" optional><code>{text}</code></autoref>'
