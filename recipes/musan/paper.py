"""What Hussain & Haque 2018 (1812.00149) report on MUSAN, in percent: tables of their section 4."""

ROWS = {  # name of our run: title
    "gmm": "GMM",
    "snn": "SNN",
    "swishnet_slim": "SwishNet slim",
    "swishnet_slim_distilled": "SwishNet slim, distilled",
    "swishnet_wide": "SwishNet wide",
    "swishnet_wide_distilled": "SwishNet wide, distilled",
    "mobilenet": "MobileNet, random start",
    "mobilenet_imagenet": "MobileNet, ImageNet start",
}
PARAMETERS = {
    "gmm": 92_416,
    "snn": 179_203,
    "swishnet_slim": 5_483,
    "swishnet_slim_distilled": 5_483,
    "swishnet_wide": 18_267,
    "swishnet_wide_distilled": 18_267,
    "mobilenet": 217_235,
    "mobilenet_imagenet": 217_235,
}
SECONDS = (0.5, 1.0, 2.0)
CLIPS = {  # accuracy, speech or not; by clip length
    "gmm": ((96.53, 98.58), (97.33, 99.05), (97.79, 99.33)),
    "snn": ((97.07, 98.87), (97.41, 99.13), (97.71, 99.36)),
    "swishnet_slim": ((97.64, 99.24), (98.20, 99.60), (98.41, 99.76)),
    "swishnet_slim_distilled": ((97.52, 99.19), (98.22, 99.51), (98.57, 99.70)),
    "swishnet_wide": ((97.97, 99.37), (98.32, 99.67), (98.65, 99.75)),
    "swishnet_wide_distilled": ((98.05, 99.45), (98.54, 99.71), (98.92, 99.84)),
    "mobilenet": ((98.13, 99.43), (98.53, 99.71), (98.95, 99.88)),
    "mobilenet_imagenet": ((98.94, 99.73), (99.24, 99.89), (99.38, 99.96)),
}
F1 = {  # mean of the classes
    "gmm": (90.63, 92.30, 93.03),
    "snn": (91.03, 91.61, 92.27),
    "swishnet_slim": (93.00, 94.28, 94.84),
    "swishnet_slim_distilled": (92.67, 94.50, 95.56),
    "swishnet_wide": (93.95, 94.61, 95.68),
    "swishnet_wide_distilled": (94.05, 95.43, 96.51),
    "mobilenet": (94.22, 95.14, 96.48),
    "mobilenet_imagenet": (96.70, 97.49, 97.91),
}
RECALL = {  # noise, music, speech
    "gmm": ((79, 96, 98), (80, 97, 99), (79, 98, 99)),
    "snn": ((67, 98, 100), (67, 98, 100), (68, 99, 100)),
    "swishnet_slim": ((78, 98, 99), (83, 99, 100), (84, 99, 99)),
    "swishnet_wide_distilled": ((81, 99, 100), (86, 99, 100), (88, 99, 100)),
    "mobilenet_imagenet": ((90, 99, 100), (91, 99, 100), (94, 99, 100)),
}
SEGMENTS = {  # accuracy, speech or not, recall of noise; by window
    "gmm": ((91.19, 97.33, 75),) * 3,
    "snn": ((90.38, 97.28, 63),) * 3,
    "swishnet_slim": ((92.70, 98.42, 73), (93.26, 98.37, 75), (93.08, 97.76, 76)),
    "swishnet_wide_distilled": ((94.09, 98.57, 78), (94.11, 98.46, 79), (93.55, 97.58, 77)),
    "mobilenet_imagenet": ((96.73, 99.37, 88), (96.26, 98.98, 86), (95.03, 98.31, 82)),
}
