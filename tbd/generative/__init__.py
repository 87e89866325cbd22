"""Generative models on images: autoencoders and generative adversarial networks."""

from tbd.generative.adversarial import GenerativeAdversarialNetwork
from tbd.generative.autoencoder import AutoEncoder
from tbd.generative.autoencoding import AutoEncodingModel, OutputKind
from tbd.generative.classifier import ImageClassifier
from tbd.generative.conv_autoencoder import ConvAutoEncoder
from tbd.generative.conv_variational import ConvVariationalAutoEncoder
from tbd.generative.frozen import through_frozen
from tbd.generative.gan_networks import (
    ConvDiscriminator,
    ConvGenerator,
    FullyConnectedDiscriminator,
    FullyConnectedGenerator,
)
from tbd.generative.image_model import ImageModel
from tbd.generative.noise import ResumableNoise
from tbd.generative.objectives import (
    AdversarialLoss,
    discriminator_loss,
    generator_loss,
    kl_to_standard_normal,
    squared_error,
)
from tbd.generative.optimizers import SeparateOptimWrapperConstructor
from tbd.generative.pixels import PixelPreprocessor, to_pixels
from tbd.generative.variational import VariationalAutoEncoder, VariationalModel

__all__ = [
    "AdversarialLoss",
    "AutoEncoder",
    "AutoEncodingModel",
    "ConvAutoEncoder",
    "ConvDiscriminator",
    "ConvGenerator",
    "ConvVariationalAutoEncoder",
    "FullyConnectedDiscriminator",
    "FullyConnectedGenerator",
    "GenerativeAdversarialNetwork",
    "ImageClassifier",
    "ImageModel",
    "OutputKind",
    "PixelPreprocessor",
    "ResumableNoise",
    "SeparateOptimWrapperConstructor",
    "VariationalAutoEncoder",
    "VariationalModel",
    "discriminator_loss",
    "generator_loss",
    "kl_to_standard_normal",
    "squared_error",
    "through_frozen",
    "to_pixels",
]
