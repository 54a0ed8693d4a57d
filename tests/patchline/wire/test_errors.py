import pytest

from patchline.wire import errors


def test_a_misconfiguration_says_what_where_and_the_remedy_in_one_sentence() -> None:
    error = errors.MisconfiguredError("the key is missing", where="edge.toml: broker", remedy="add it")
    assert str(error) == "the key is missing (edge.toml: broker); add it"
    assert (error.what, error.where, error.remedy) == ("the key is missing", "edge.toml: broker", "add it")


def test_a_misconfiguration_without_place_and_remedy_is_still_a_sentence() -> None:
    assert str(errors.MisconfiguredError("the key is missing")) == "the key is missing"


def test_unreadable_bytes_carry_a_word_for_the_counter() -> None:
    error = errors.UnreadableError("not a picture", code="picture")
    assert (str(error), error.reason, error.code) == ("not a picture", "not a picture", "picture")


def test_a_missing_extra_names_the_command_that_brings_it() -> None:
    error = errors.missing_extra("faiss", "analytics")
    assert "pip install 'patchline[analytics]'" in str(error)


@pytest.mark.parametrize("kind", [errors.UnreadableError, errors.UnavailableError, errors.MisconfiguredError])
def test_every_error_of_ours_has_one_root(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.PatchlineError)


def test_exit_codes_tell_our_faults_from_the_worlds() -> None:
    assert (errors.EXIT_MISCONFIGURED, errors.EXIT_UNAVAILABLE) == (2, 3)
