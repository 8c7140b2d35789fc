"""LightningDataModules of labelled images."""

from ifgan_pl.data.celeba import CelebAData
from ifgan_pl.data.faces import FACE_ATTRIBUTES, FacesData
from ifgan_pl.data.ffhq import FFHQData
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.data.mixed import MixedData
from ifgan_pl.data.table import TableData

__all__ = ["FACE_ATTRIBUTES", "AttributeData", "CelebAData", "FFHQData", "FacesData", "MixedData", "TableData"]
