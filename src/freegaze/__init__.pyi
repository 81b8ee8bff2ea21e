from . import plot as plot
from .errors import FreegazeError as FreegazeError
from .evaluation.compare import compare as compare
from .fitted.storage import load_encoder as load_encoder
from .recording.recording import Recording as Recording
from .sources.simulation import simulate as simulate
from .sources.source import open_recordings as open_recordings
from .studies.bench import bench as bench
from .workflow import evaluate as evaluate
from .workflow import explain as explain
from .workflow import fit as fit
from .workflow import predict as predict
from .workflow import report as report

__version__: str
