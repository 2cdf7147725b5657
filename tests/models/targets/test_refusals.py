"""A network that takes other things than the stimuli is refused with what would work."""

import pytest
from torch import nn

from actmax.models.spaces import StimulusSpec
from actmax.models.targets.module import ModuleTarget

IMAGE, SERIES = StimulusSpec((3, 8, 8)), StimulusSpec((1, 64), modality="series")


class Words(nn.Module):
    def forward(self, input_ids=None, attention_mask=None):
        raise AttributeError("'NoneType' object has no attribute 'shape'")  # attention_mask's


class WordsAndPictures(nn.Module):
    def forward(self, input_ids=None, pixel_values=None):
        raise AttributeError("'NoneType' object has no attribute 'shape'")  # pixel_values'


class Sound(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(1, 4, 5)

    def forward(self, sound):
        return self.convolution(sound[:, None])


@pytest.mark.parametrize(
    ("network", "stimulus", "says"),
    [
        (Words(), SERIES, "takes input_ids first, which are the numbers of words; stimuli are no words"),
        (WordsAndPictures(), IMAGE, "hands stimuli on as pixel_values and fills in the rest"),
        (Sound(), SERIES, r"it expects \(time,\) without channels; wrap it in a module whose forward gives it stimuli\[:, 0\]"),
    ],
    ids=["words", "words and pictures", "sound"],
)
def test_what_would_work_is_said(network, stimulus, says):
    with pytest.raises(ValueError, match=says):
        ModuleTarget(network, stimulus)
